"""Convert the operators of an ONNX file that take most of its time and space to float16."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# Norms, softmax, coordinates and indices would lose accuracy in float16.
HALF_OPERATORS = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')


def convert_to_half(model: 'ModelProto') -> None:
    """Convert :data:`HALF_OPERATORS` of a model to float16, in place.

    Their weights become float16. Other inputs are cast to float16, and outputs back to float32, so
    inputs and outputs of the file stay float32.
    """
    from onnx import TensorProto, checker, numpy_helper

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    converted = set()
    for node in graph.node:
        if node.op_type not in HALF_OPERATORS:
            nodes.append(node)
            continue
        for name in dict.fromkeys(node.input):
            if name in converted:
                continue
            converted.add(name)
            if name in weights:
                values = numpy_helper.to_array(weights[name]).astype('float16')
                graph.initializer.append(numpy_helper.from_array(values, f'{name}_half'))
            else:
                nodes += make_cast(name, f'{name}_half', TensorProto.FLOAT16)
        (output,) = node.output
        node.input[:] = [f'{name}_half' for name in node.input]
        node.output[:] = [f'{output}_output']
        nodes.append(node)
        nodes += make_cast(f'{output}_output', output, TensorProto.FLOAT)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    for name, tensor in weights.items():
        if name not in used:
            graph.initializer.remove(tensor)
    checker.check_model(model)


def make_cast(source: str, target: str, dtype: int) -> list['NodeProto']:
    """Return nodes that cast the value ``source`` to an ONNX data type and call it ``target``.

    On CPUs, onnxruntime removes pairs of casts, and with them the rounding that is to be compared.
    Without graph optimizations, it keeps casts beside an Identity.
    """
    from onnx import helper

    cast = helper.make_node('Cast', [source], [f'{target}_cast'], to=dtype)
    return [cast, helper.make_node('Identity', [f'{target}_cast'], [target])]
