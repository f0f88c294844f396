#!/usr/bin/env python3
"""Make ``safety/weights/nsfwjs_mobilenet_v2.onnx`` from the npm package nsfwjs.

    npm pack nsfwjs@4.4.0 && tar xzf nsfwjs-4.4.0.tgz
    pip install onnx==1.23.2
    python scripts/convert_nsfwjs.py package safety/weights/nsfwjs_mobilenet_v2.onnx

Needs Node.js (the package holds its model as a JavaScript object) and ``onnx``; nothing at run time
needs either. The weights in the package are uint8 with a range a tensor; here they are unpacked,
batch normalisation is folded into the convolutions, and they are stored again as int8 with a scale
an output channel. The same package gives the same file, byte for byte. nsfwjs is MIT licensed
(Copyright (c) 2019 Infinite Red, Inc.); the notice is in THIRD_PARTY.md.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_JSON = "process.stdout.write(JSON.stringify((m=>m.default||m)(require(process.argv[1]))))"
CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
Array = np.ndarray[Any, Any]


def read_package(package: Path) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Return the layers of the Keras topology, and the weights by name in float32."""
    folder = (package / "dist" / "models" / "mobilenet_v2").resolve()
    model = json.loads(
        subprocess.run(
            ["node", "-e", _JSON, str(folder / "model.min.js")], check=True, capture_output=True
        ).stdout
    )
    shard = (folder / "group1-shard1of1.min.js").read_text("ascii")
    longest = max(re.findall(r"[A-Za-z0-9+/]{1000,}={0,2}", shard), key=len)
    data = base64.b64decode(longest)
    weights: dict[str, Array] = {}
    at = 0
    for spec in model["weightsManifest"][0]["weights"]:
        count = int(np.prod(spec["shape"]))
        packed = np.frombuffer(data, np.uint8, count, at)
        at += count
        how = spec["quantization"]
        values = packed.astype(np.float64) * how["scale"] + how["min"]
        weights[spec["name"]] = values.reshape(spec["shape"])
    if at != len(data):
        raise SystemExit(f"{len(data) - at} bytes of weights are left over")
    return model["modelTopology"]["model_config"]["config"]["layers"], weights


class Graph:
    """Collects the nodes and initializers of the new model."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.held: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Array) -> str:
        """Add an initializer; return its name."""
        self.held.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def packed(self, name: str, value: Array) -> str:
        """Add weights (output channel first) as int8 with a scale a channel; return their name."""
        flat = value.reshape(len(value), -1)
        scale = np.maximum(np.abs(flat).max(axis=1), 1e-12) / 127.0
        small = np.clip(np.rint(flat / scale[:, None]), -127, 127).astype(np.int8)
        self.nodes.append(
            helper.make_node(
                "DequantizeLinear",
                [
                    self.constant(f"{name}/int8", small.reshape(value.shape)),
                    self.constant(f"{name}/scale", scale.astype(np.float32)),
                ],
                [f"{name}/weight"],
                axis=0,
            )
        )
        return f"{name}/weight"

    def add(self, kind: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


def _norm(layer: dict[str, Any], weights: dict[str, Array]) -> tuple[Array, Array]:
    name, epsilon = layer["name"], layer["config"]["epsilon"]
    variance, mean = weights[f"{name}/moving_variance"], weights[f"{name}/moving_mean"]
    factor = weights[f"{name}/gamma"] / np.sqrt(variance + epsilon)
    return factor, weights[f"{name}/beta"] - mean * factor


def _pads(config: dict[str, Any], size: int) -> list[int]:
    """Keras' ``same`` puts the odd pixel behind; ONNX wants numbers: top, left, bottom, right."""
    if config["padding"] != "same":
        return [0, 0, 0, 0]
    step, width = config["strides"][0], config["kernel_size"][0]
    total = max((-(-size // step) - 1) * step + width - size, 0)
    before = total // 2
    return [before, before, total - before, total - before]


def build(  # noqa: C901, PLR0912, PLR0915 - one case a kind of layer, read from top to bottom
    layers: list[dict[str, Any]], weights: dict[str, Array]
) -> onnx.ModelProto:
    """Return the model: (1, 3, 224, 224) RGB in 0..1 to five shares that add up to one."""
    graph = Graph()
    values: dict[str, str] = {}  # layer name -> name of its output in the graph
    sizes: dict[str, int] = {}
    by_name = {layer["name"]: layer for layer in layers}
    after = {
        source[0]: layer["name"]
        for layer in layers
        for source in (layer["inbound_nodes"] or [[]])[0]
    }
    for layer in layers:
        name, kind, config = layer["name"], layer["class_name"], layer["config"]
        sources = [one[0] for one in (layer["inbound_nodes"] or [[]])[0]]
        given = [values[source] for source in sources]
        size = sizes[sources[0]] if sources else 224
        match kind:
            case "InputLayer":
                values[name] = "pixels"
            case "ZeroPadding2D":
                (top, bottom), (left, right) = config["padding"]
                pads = graph.constant(
                    f"{name}/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
                )
                values[name] = graph.add("Pad", name, [given[0], pads], mode="constant")
                size += top + bottom
            case "Conv2D" | "DepthwiseConv2D":
                normal = by_name[after[name]]
                if normal["class_name"] != "BatchNormalization":
                    raise SystemExit(f"{name} has no batch normalisation behind it")
                factor, shift = _norm(normal, weights)
                deep = kind == "DepthwiseConv2D"
                kernel = weights[f"{name}/{'depthwise_kernel' if deep else 'kernel'}"]
                # Keras: (h, w, in, out) and (h, w, in, 1); ONNX: output channels first.
                kernel = kernel.transpose((2, 3, 0, 1) if deep else (3, 2, 0, 1))
                kernel = kernel * factor[:, None, None, None]
                values[name] = graph.add(
                    "Conv",
                    name,
                    [
                        given[0],
                        graph.packed(name, kernel),
                        graph.constant(f"{name}/bias", shift.astype(np.float32)),
                    ],
                    kernel_shape=config["kernel_size"],
                    strides=config["strides"],
                    pads=_pads(config, size),
                    group=len(kernel) if deep else 1,
                )
                step, width = config["strides"][0], config["kernel_size"][0]
                whole = config["padding"] == "same"
                size = -(-size // step) if whole else (size - width) // step + 1
            case "BatchNormalization" | "Dropout":
                values[name] = given[0]  # folded above; dropout does nothing at inference
            case "ReLU":
                low = graph.constant(f"{name}/low", np.float32(0.0))
                high = graph.constant(f"{name}/high", np.float32(config["max_value"]))
                values[name] = graph.add("Clip", name, [given[0], low, high])
            case "Add":
                values[name] = graph.add("Add", name, given)
            case "AveragePooling2D":
                values[name] = graph.add(
                    "AveragePool",
                    name,
                    given,
                    kernel_shape=config["pool_size"],
                    strides=config["strides"],
                )
                size //= config["pool_size"][0]
            case "Flatten":
                # Keras flattens (h, w, c); the pool leaves 1 x 1, where the orders agree.
                if size != 1:
                    raise SystemExit("the pooled map is not 1 x 1")
                values[name] = graph.add("Flatten", name, given)
            case "Dense":
                kernel = weights[f"{name}/kernel"].T
                bias = graph.constant(f"{name}/bias", weights[f"{name}/bias"].astype(np.float32))
                made = graph.add(
                    "Gemm", f"{name}/gemm", [given[0], graph.packed(name, kernel), bias], transB=1
                )
                act = {"relu": "Relu", "softmax": "Softmax"}[config["activation"]]
                values[name] = graph.add(act, name, [made])
            case other:
                raise SystemExit(f"no layer of the kind {other} was expected")
        sizes[name] = size
    last = layers[-1]["name"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "nsfwjs-mobilenet-v2",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 224, 224])],
            [helper.make_tensor_value_info(values[last], TensorProto.FLOAT, [1, len(CLASSES)])],
            graph.held,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="chopmark scripts/convert_nsfwjs.py",
    )
    helper.set_model_props(
        model,
        {
            "classes": json.dumps(CLASSES),
            "source": "npm nsfwjs 4.4.0, dist/models/mobilenet_v2",
            "license": "MIT, Copyright (c) 2019 Infinite Red, Inc.",
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Convert."""
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    model = build(*read_package(Path(sys.argv[1])))
    Path(sys.argv[2]).write_bytes(model.SerializeToString(deterministic=True))
    print(f"{sys.argv[2]}: {Path(sys.argv[2]).stat().st_size} bytes")


if __name__ == "__main__":
    main()
