"""The ONNX operators that TensorRT's parser supports, as NVIDIA lists them for TensorRT 10.15,
opsets 9 to 24.

The list is docs/operators.md of onnx/onnx-tensorrt, except that NonZero accepts bools, as NVIDIA's
page of that layer says. Operators for recurrent networks, signals, strings, sequences and random
numbers are left out.
"""

import onnx
from onnx import TensorProto

FLOATS = """
    Acos Acosh Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Ceil Celu Clip Conv ConvTranspose Cos Cosh
    CumSum DeformConv Dropout Einsum Elu Erf Exp Floor Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample
    GroupNormalization HardSigmoid HardSwish Hardmax InstanceNormalization IsInf LayerNormalization LeakyRelu Log
    LogSoftmax LpNormalization LpPool MatMul MaxPool Mish NonMaxSuppression PRelu Reciprocal Resize RoiAlign Round Selu
    Sigmoid Sin Softmax Softplus Softsign Sqrt Tan Tanh
"""
NUMBERS = """
    Abs Add ArgMax ArgMin DepthToSpace Div Equal Gelu Greater GreaterOrEqual IsNaN Less LessOrEqual Max Mean Min Mod Mul
    Neg Pad Pow Range ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu ScatterElements
    ScatterND Sign Sub Sum TopK
"""
TRUTHS = 'And Not Or Xor'
ALL = """
    Cast CastLike Concat Constant ConstantOfShape Expand EyeLike Flatten Gather GatherElements GatherND Identity If Loop
    NonZero OneHot Reshape Shape Size Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where
"""
FLOAT_TYPES = {'FLOAT16', 'FLOAT', 'DOUBLE'}  # TensorRT converts float64 to float32
NUMBER_TYPES = FLOAT_TYPES | {'INT32', 'INT64'}
TYPES = {FLOATS: FLOAT_TYPES, NUMBERS: NUMBER_TYPES, TRUTHS: {'BOOL'}, ALL: NUMBER_TYPES | {'BOOL'}}
TAKEN = {name: types for names, types in TYPES.items() for name in names.split()}
# TopK supports fewer elements than this.
MOST_SORTED = 3840


def find_unsupported(model):
    """Return the unsupported operators of a model, each with the type of its first input."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in [*graph.value_info, *graph.input, *graph.output]
    }
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    found = set()
    for node in graph.node:
        first = TensorProto.DataType.Name(types[node.input[0]]) if node.input else 'FLOAT'
        if first not in TAKEN.get(node.op_type, ()):
            found.add((node.op_type, first))
        if node.op_type == 'TopK' and not bound_of(node.input[1], makers) < MOST_SORTED:
            found.add(('TopK', f'of {MOST_SORTED} and more'))
    return found


def bound_of(name, makers):
    """Return the largest possible value of a tensor that is a minimum with constants, or infinity
    for other tensors.
    """
    node = makers[name]
    if node.op_type == 'Constant':
        return onnx.numpy_helper.to_array(node.attribute[0].t).max()
    if node.op_type in ('Reshape', 'Min'):
        names = node.input[:1] if node.op_type == 'Reshape' else node.input
        return min(bound_of(each, makers) for each in names)
    return float('inf')
