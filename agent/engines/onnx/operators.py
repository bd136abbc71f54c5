"""The operators that a client's ONNX file may have.

Each computes from its inputs and attributes alone, in a time that its tensors bound: no control
flow, nothing of another library, no random numbers, and none whose attributes decide how long it
takes. They are what exporters and onnxruntime's optimizer and quantizer write for models of texts
and images.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Of ONNX itself.
_ONNX = """
Abs Acos Add And ArgMax ArgMin Asin Atan Attention AveragePool BatchNormalization BitwiseAnd
BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv
ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout
DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual
GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LSTM
LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization MatMul MatMulInteger
Max MaxPool Mean Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul
QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
ReverseSequence RotaryEmbedding Round ScatterElements ScatterND Selu Shape Sigmoid Sign
SimplifiedLayerNormalization Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
"""
#: Of onnxruntime, which its optimizer and its quantizer write.
_MICROSOFT = """
Attention BiasGelu DequantizeLinear DynamicQuantizeMatMul EmbedLayerNormalization FastGelu FusedGemm
FusedMatMul Gelu MatMulIntegerToFloat MatMulNBits MultiHeadAttention QAttention
QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearGlobalAveragePool
QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere
QuantizeLinear QuickGelu RotaryEmbedding SkipLayerNormalization SkipSimplifiedLayerNormalization
"""
_ALLOWED = {
    domain: frozenset(names.split()) for domain, names in (("", _ONNX), ("ai.onnx", _ONNX), ("com.microsoft", _MICROSOFT))
}


def refused(operators: Iterable[tuple[str, str]]) -> str | None:
    """The first of the operators, each a domain and a name, that an upload may not have."""
    names = (f"{domain}.{name}" if domain else name for domain, name in sorted(operators) if name not in _ALLOWED.get(domain, ()))
    return next(names, None)
