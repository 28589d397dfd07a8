"""Kinds of work in a step, by the names of PyTorch's operations."""

KINDS = {
    "convolutions": ("conv",),
    "attention": ("scaled_dot_product",),
    "products of matrices": ("aten::mm", "aten::addmm", "aten::bmm", "mkldnn::_linear"),
    "normalization, activations": ("norm", "gelu", "silu", "sigmoid"),
}
REST = "everything else"


def kind_of(operation: str) -> str:
    """The kind of work of an operation."""
    return next((kind for kind, parts in KINDS.items() if any(part in operation for part in parts)), REST)
