"""Convert an ONNX file's convolutions and matrix products to float16. The rest stays float32.

Norms, softmax, sigmoid, coordinates and indices lose accuracy in float16: its integers are exact only up to 2048.
"""

from typing import Any

# They take most of the time, and their weights most of the file.
HALF_OPERATORS = {'Conv', 'ConvTranspose', 'Gemm', 'MatMul'}


def convert_to_half(model: Any) -> None:
    """Convert the inputs of :data:`HALF_OPERATORS` to float16 and their outputs to float32, in place."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes, halves = [], {}  # halves: the float16 name of each converted tensor, by its float32 name

    def add(op_type: str, source: str, target: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(op_type, [source], [target], **attributes))

    for node in graph.node:
        if node.op_type not in HALF_OPERATORS:
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name not in halves:
                halves[name] = f'{name}_half'
                if name in weights:
                    values = numpy_helper.to_array(weights[name]).astype('float16')
                    graph.initializer.append(numpy_helper.from_array(values, halves[name]))
                else:
                    # On CPUs, onnxruntime removes pairs of casts, and with them the rounding that is to be compared.
                    # Without graph optimizations, it keeps casts beside an Identity.
                    add('Cast', name, f'{name}_cast', to=TensorProto.FLOAT16)
                    add('Identity', f'{name}_cast', halves[name])
            node.input[i] = halves[name]
        (name,) = node.output
        node.output[0] = f'{name}_output'
        nodes.append(node)
        add('Identity', node.output[0], f'{name}_identity')
        add('Cast', f'{name}_identity', name, to=TensorProto.FLOAT)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    onnx.checker.check_model(model)
