//! What numpy's and Python's own functions would build, for the few that pickles of data name.

use std::rc::Rc;

use super::array::{Array, Bytes};
use super::global::Global;
use super::value::Value;

/// The result of a call, in a pickle that holds `file`.
pub fn call(file: &[u8], callee: &Value, arguments: &[Value]) -> Result<Value, String> {
    let Value::Global(callee) = callee else {
        return Err("something that is not a name is called".into());
    };
    Ok(match (callee, arguments) {
        (Global::Reconstruct, _) => Value::Array(Rc::default()),
        (Global::Dtype, [name, ..]) => {
            let name = name.text(file).ok_or("a dtype has no name")?;
            Value::Dtype(Rc::new(name.into()))
        }
        // Protocols up to 2 have no bytes: Python 3 writes them as text, to be encoded as Latin-1.
        (Global::Encode, [Value::Text(text), ..]) => {
            let bytes: Option<Vec<u8>> =
                text.chars().map(|it| u8::try_from(u32::from(it)).ok()).collect();
            Value::Bytes(Bytes::Owned(Rc::new(bytes.ok_or("text is not Latin-1")?)))
        }
        (Global::Bytes, []) => Value::Bytes(Bytes::Owned(Rc::default())),
        (Global::OrderedDict | Global::Dict | Global::DefaultDict, [])
        | (Global::DefaultDict, [Value::Global(_) | Value::None]) => Value::Dict(Rc::default()),
        (Global::Scalar, [Value::Dtype(dtype), Value::Bytes(data)]) => {
            let array = array(Vec::new(), &dtype.borrow(), false, Some(data.clone()));
            let number = array.integers(file).and_then(|it| it.first().copied());
            Value::Int(number.ok_or("a scalar is not a whole number")?)
        }
        (Global::FromBuffer, [Value::Bytes(data), Value::Dtype(dtype), shape, order]) => {
            let fortran = order.text(file).as_deref() == Some("F");
            let array = array(shape_of(shape)?, &dtype.borrow(), fortran, Some(data.clone()));
            Value::Array(Rc::new(array.into()))
        }
        (callee, _) => {
            return Err(format!("{callee:?} is called with other arguments than numpy's"));
        }
    })
}

/// What `__setstate__` would do to a value.
pub fn set_state(file: &[u8], value: Option<&Value>, state: &Value) -> Result<(), String> {
    let items = state.items().unwrap_or_default();
    match value {
        Some(Value::Dtype(dtype)) => {
            // (version, byte order, …): only the order matters, and only big-endian differs.
            if items.get(1).and_then(|it| it.text(file)).as_deref() == Some(">") {
                let name = format!(">{}", dtype.borrow());
                *dtype.borrow_mut() = name;
            }
            Ok(())
        }
        Some(Value::Array(target)) => {
            let [_, shape, Value::Dtype(dtype), fortran, data] = items.as_slice() else {
                return Err("an array is not as numpy writes it".into());
            };
            let data = match data {
                Value::Bytes(data) => Some(data.clone()),
                // Objects: not needed, and no reason to refuse the rest.
                Value::List(_) => None,
                _ => return Err("an array is neither of numbers nor of objects".into()),
            };
            let fortran = matches!(fortran, Value::Bool(true));
            *target.borrow_mut() = array(shape_of(shape)?, &dtype.borrow(), fortran, data);
            Ok(())
        }
        _ => Err("a state is set in what is not an array".into()),
    }
}

fn array(shape: Vec<usize>, dtype: &str, fortran: bool, data: Option<Bytes>) -> Array {
    let big_endian = dtype.starts_with('>');
    let dtype = dtype.trim_start_matches(['<', '|', '=', '>']).to_owned();
    Array { shape, dtype, big_endian, fortran, data }
}

fn shape_of(value: &Value) -> Result<Vec<usize>, String> {
    let sides = value.items().unwrap_or_default();
    let side = |value: &Value| match value {
        Value::Int(side) => usize::try_from(*side).ok(),
        _ => None,
    };
    sides.iter().map(side).collect::<Option<_>>().ok_or_else(|| "an array has no shape".into())
}
