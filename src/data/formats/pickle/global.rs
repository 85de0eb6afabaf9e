//! Names that pickles of data hold.

/// A name that is known. None stands for anything executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Global {
    Reconstruct,
    NdArray,
    Dtype,
    Scalar,
    FromBuffer,
    Encode,
    OrderedDict,
    DefaultDict,
    Dict,
    Bytes,
    /// A type that `defaultdict` makes its entries with. Nothing is made with it here.
    Type,
}

/// The name, if it is one of data.
pub fn global(module: &str, name: &str) -> Result<Global, String> {
    Ok(match (module, name) {
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::Reconstruct,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::Scalar,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Global::FromBuffer,
        ("numpy", "ndarray") => Global::NdArray,
        ("numpy", "dtype") => Global::Dtype,
        ("_codecs", "encode") => Global::Encode,
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("collections", "defaultdict") => Global::DefaultDict,
        ("builtins" | "__builtin__", "dict") => Global::Dict,
        ("builtins" | "__builtin__", "bytes") => Global::Bytes,
        ("builtins" | "__builtin__", "list" | "int" | "set" | "str" | "tuple" | "float") => {
            Global::Type
        }
        _ => {
            return Err(format!(
                "it names {module}.{name}, which is not data; nothing is executed"
            ));
        }
    })
}
