#!/usr/bin/env python3
"""Make ``safety/weights/prompt_encoder.onnx`` from the fine-tuned encoder.

    pip install onnx==1.23.2 onnxruntime safetensors
    python scripts/export_encoder.py WORK/encoder.safetensors safety/weights/prompt_encoder.onnx

Writes the six BERT layers as plain ONNX operators (one text at a time, so no attention mask is
needed), then quantizes weights to int8 with onnxruntime; activations are scaled at run time.
Nothing at run time needs ``onnx``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

LAYERS, HEADS, WIDTH = 6, 12, 384
EPSILON = 1e-12
Array = np.ndarray[Any, Any]


class Graph:
    """Collects nodes and initializers."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.held: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: Array) -> str:
        """Add an initializer, once; return its name."""
        self.held.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def norm(self, name: str, value: str) -> str:
        """Add a layer normalisation."""
        return self.add(
            "LayerNormalization",
            f"{name}/out",
            value,
            self.constant(f"{name}/weight", self.weights[f"{name}.weight"]),
            self.constant(f"{name}/bias", self.weights[f"{name}.bias"]),
            axis=-1,
            epsilon=EPSILON,
        )

    def linear(self, name: str, value: str, *sources: str) -> str:
        """Multiply by one or several layers' weights, laid side by side, and add their biases."""
        weight = np.concatenate([self.weights[f"{source}.weight"].T for source in sources], axis=1)
        bias = np.concatenate([self.weights[f"{source}.bias"] for source in sources])
        made = self.add("MatMul", f"{name}/matmul", value, self.constant(f"{name}/weight", weight))
        return self.add("Add", f"{name}/out", made, self.constant(f"{name}/bias", bias))


def build(weights: dict[str, Array]) -> onnx.ModelProto:
    """Return the float model: token ids (1, n) to one vector (384,) of length one."""
    graph = Graph(weights)
    words = graph.constant("words", weights["embeddings.word_embeddings.weight"])
    places = weights["embeddings.position_embeddings.weight"]
    # Every token is of segment 0.
    places = places + weights["embeddings.token_type_embeddings.weight"][0]
    zero = graph.constant("zero", np.array([0], np.int64))
    one = graph.constant("one", np.array([1], np.int64))
    length = graph.add("Shape", "length", "input_ids", start=1, end=2)
    here = graph.add(
        "Slice", "here", graph.constant("places", places[:128]), zero, length, zero, one
    )
    value = graph.add("Gather", "tokens", words, "input_ids", axis=0)
    value = graph.norm("embeddings.LayerNorm", graph.add("Add", "embedded", value, here))
    apart = graph.constant("apart", np.array([0, 0, 3, HEADS, WIDTH // HEADS], np.int64))
    together = graph.constant("together", np.array([0, 0, WIDTH], np.int64))
    scale = graph.constant("scale", np.float32(1 / np.sqrt(WIDTH // HEADS)))
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        three = graph.linear(
            f"{at}/qkv",
            value,
            *(f"{at}.attention.self.{part}" for part in ("query", "key", "value")),
        )
        parts = graph.add("Reshape", f"{at}/parts", three, apart)
        # (1, n, 3, heads, width) to (3, 1, heads, n, width)
        turned = graph.add("Transpose", f"{at}/turned", parts, perm=[2, 0, 3, 1, 4])
        split = [f"{at}/{part}" for part in ("q", "k", "v")]
        graph.nodes.append(helper.make_node("Split", [turned], split, axis=0, num_outputs=3))
        query, key, held = (graph.add("Squeeze", f"{name}/flat", name, zero) for name in split)
        crossed = graph.add("Transpose", f"{at}/crossed", key, perm=[0, 1, 3, 2])
        looks = graph.add("MatMul", f"{at}/looks", query, crossed)
        shares = graph.add(
            "Softmax", f"{at}/shares", graph.add("Mul", f"{at}/scaled", looks, scale), axis=-1
        )
        seen = graph.add("MatMul", f"{at}/seen", shares, held)
        back = graph.add("Transpose", f"{at}/back", seen, perm=[0, 2, 1, 3])
        flat = graph.add("Reshape", f"{at}/flat", back, together)
        out = graph.linear(f"{at}/attended", flat, f"{at}.attention.output.dense")
        value = graph.norm(
            f"{at}.attention.output.LayerNorm", graph.add("Add", f"{at}/first", out, value)
        )
        wide = graph.linear(f"{at}/wide", value, f"{at}.intermediate.dense")
        bent = graph.add("Gelu", f"{at}/bent", wide)
        narrow = graph.linear(f"{at}/narrow", bent, f"{at}.output.dense")
        value = graph.norm(
            f"{at}.output.LayerNorm", graph.add("Add", f"{at}/second", narrow, value)
        )
    both = graph.constant("both", np.array([0, 1], np.int64))
    mean = graph.add("ReduceMean", "mean", value, both, keepdims=0)
    size = graph.add("ReduceL2", "size", mean, keepdims=1)
    graph.add("Div", "vector", mean, size)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "chopmark-prompt-encoder",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"])],
            [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [WIDTH])],
            list(graph.held.values()),
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
        producer_name="chopmark scripts/export_encoder.py",
    )
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Export."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    model = build(
        {name: value.astype(np.float32) for name, value in load_file(sys.argv[1]).items()}
    )
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, plain)
        quantize_dynamic(
            plain,
            Path(sys.argv[2]),
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gather"],
        )
    print(f"{sys.argv[2]}: {Path(sys.argv[2]).stat().st_size} bytes")
    if "--keep" in sys.argv:
        onnx.save(model, sys.argv[2] + ".f32")


if __name__ == "__main__":
    main()
