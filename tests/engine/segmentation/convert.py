"""Converts the published weights of U²-Netp (ONNX) and BlazeFace (TensorFlow Lite) into ``engine/segmentation``.

It needs the packages ``onnx`` and ``tflite``; to compare with the original runtimes also ``onnxruntime`` and
``ai-edge-litert``. The tests need none of them::

    python -m tests.engine.segmentation.convert u2netp.onnx face_detection_short_range.tflite
    python -m tests.engine.segmentation.convert u2netp.onnx face_detection_short_range.tflite --compare photo.jpg
"""

# mypy: ignore-errors

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from engine.segmentation import blazeface, u2net
from engine.segmentation.weights import SCALES

FOLDER = Path(u2net.__file__).parent
HASHES = {
    "u2netp": "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    "blazeface": "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
}


EXACT = frozenset({"up.3.up.4.0.weight", "up.4.up.4.0.weight", "down.0.first.0.weight", "down.0.up.5.0.weight"})
"""The layers of U²-Netp that stay in float32. Rounded to float16, the first one alone changes the
result by 0.18 of 1.
"""


def compact(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights as integers of 16 bits with one scale for each output channel, biases and :data:`EXACT` in float32.

    As large as float16, which changes the saliency by up to 0.004 of 1 even where the layers of :data:`EXACT` stay in
    float32; this changes it by 0.0007.
    """
    found = {}
    for name, tensor in tensors.items():
        exact = tensor.astype(np.float64)
        if tensor.ndim == 1 or name in EXACT:
            found[name] = tensor.astype(np.float32)
            continue
        scales = (np.abs(exact).reshape(len(exact), -1).max(axis=1) / 32767).astype(np.float32)
        found[name] = np.round(exact / scales.reshape(-1, 1, 1, 1)).astype(np.int16)
        found[f"{name}{SCALES}"] = scales
    return found


def write(name: str, tensors: dict[str, np.ndarray], source: str) -> None:
    """Write tensors as a safetensors file."""
    kinds = {"float16": "F16", "float32": "F32", "int16": "I16"}
    header, blobs, offset = {"__metadata__": {"source": source, "licence": "Apache-2.0"}}, [], 0
    for key, tensor in sorted(tensors.items(), key=lambda each: -each[1].itemsize):  # aligned to their sizes
        blob = np.ascontiguousarray(tensor).tobytes()
        header[key] = {
            "dtype": kinds[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (FOLDER / f"{name}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def named(network: nn.Module, tensors: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Name weights and biases, in the order of the network's convolutions."""
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    found = {}
    for name, (weight, bias) in zip(names, tensors, strict=True):
        found |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return found


def u2netp_tensors(path: Path) -> dict[str, np.ndarray]:
    """The weights in the order in which the graph uses them, which is that of the module."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    last = [*(f"side{level}.weight" for level in range(1, 7)), "outconv.weight"]
    used = [node.input[1] for node in graph.node if node.op_type == "Conv"]
    inputs = {node.input[1]: node.input[2] for node in graph.node if node.op_type == "Conv"}
    order = [name for name in used if name not in last] + last
    return named(u2net.U2Netp(), [(values[name], values[inputs[name]]) for name in order])


def blazeface_tensors(path: Path) -> dict[str, np.ndarray]:
    """The same of TensorFlow Lite, whose weights have the channels last."""
    from tflite.BuiltinOperator import BuiltinOperator
    from tflite.Model import Model

    model = Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    plain = {}  # a tensor that is an expansion of another one, to that one
    trunk, heads = [], []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        kind = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if kind == BuiltinOperator.DEQUANTIZE:
            plain[operator.Outputs(0)] = operator.Inputs(0)
        if kind not in {BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D}:
            continue
        arrays = []
        for position in (1, 2):
            tensor = graph.Tensors(plain[operator.Inputs(position)])
            data = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
            arrays.append(np.frombuffer(data, "<f2").reshape(tensor.ShapeAsNumpy()))
        weight, bias = arrays
        is_depthwise = kind == BuiltinOperator.DEPTHWISE_CONV_2D
        weight = weight.transpose((3, 0, 1, 2) if is_depthwise else (0, 3, 1, 2))
        # The trunk is one convolution, and then pairs of a depthwise and another one.
        (trunk if is_depthwise or len(trunk) % 2 == 0 else heads).append((weight, bias))
    network = blazeface.BlazeFace()
    shapes = [each.weight.shape for each in network.modules() if isinstance(each, nn.Conv2d)]
    count = len(shapes) - 4
    every = trunk + heads
    ends = {each[0].shape: each for each in every[count:]}
    return named(network, every[:count] + [ends[tuple(shape)] for shape in shapes[count:]])


def compare(onnx_file: Path, tflite_file: Path, photo: Path, save: Path | None) -> None:
    """Print the largest differences from the original runtimes at a photo."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    pixels = np.asarray(Image.open(photo).convert("RGB").resize((320, 320)), np.float32) / 255
    seen = ((pixels / pixels.max() - u2net._MEAN) / u2net._STD).transpose(2, 0, 1)[None].astype(np.float32)
    session = onnxruntime.InferenceSession(onnx_file)
    theirs = session.run(None, {session.get_inputs()[0].name: seen})[0]
    with torch.inference_mode():
        ours = u2net._network()(torch.from_numpy(seen)).numpy()
    sys.stdout.write(f"U²-Netp: {np.abs(theirs - ours).max():.2e} of 1\n")
    small = np.asarray(Image.open(photo).convert("RGB").resize((128, 128)), np.float32) / 127.5 - 1
    interpreter = Interpreter(str(tflite_file))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], small[None])
    interpreter.invoke()
    outputs = {each["name"]: interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()}
    with torch.inference_mode():
        boxes, scores = blazeface._network()(torch.from_numpy(small.transpose(2, 0, 1)[None]))
    their_scores = outputs["classificators"][..., 0]
    box = np.abs(outputs["regressors"] - boxes.numpy()).max() / 128
    squashed = [1 / (1 + np.exp(-np.clip(each, -80, 80))) for each in (their_scores, scores.numpy())]
    sys.stdout.write(f"BlazeFace: boxes {box:.2e} of 1, scores {np.abs(squashed[0] - squashed[1]).max():.2e} of 1\n")
    if save:
        best = np.argsort(-their_scores[0])[:16]
        np.savez_compressed(
            save, saliency=theirs[0, 0, ::8, ::8], best=best, scores=squashed[0][0, best],
            boxes=outputs["regressors"][0, best, :4],
        )  # fmt: skip


def main() -> None:
    """Convert, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("u2netp", type=Path)
    parser.add_argument("blazeface", type=Path)
    parser.add_argument("--compare", type=Path, metavar="PHOTO", help="compare with the original runtimes instead")
    parser.add_argument("--save", type=Path, metavar="FILE", help="store their outputs, for the test")
    options = parser.parse_args()
    if options.compare:
        compare(options.u2netp, options.blazeface, options.compare, options.save)
        return
    for name, tensors in (("u2netp", lambda path: compact(u2netp_tensors(path))), ("blazeface", blazeface_tensors)):
        path = getattr(options, name)
        if hashlib.sha256(path.read_bytes()).hexdigest() != HASHES[name]:
            parser.error(f"{path} is another file than the one that was converted before")
        write(name, tensors(path), path.name)


if __name__ == "__main__":
    main()
