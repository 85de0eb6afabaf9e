//! Pickles as data: the opcodes that dictionaries, lists, text, numbers and numpy arrays are made
//! of. Nothing is imported and nothing is called; whatever else a pickle asks for is refused by name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// Values and memo entries that are believed.
const MAX_VALUES: usize = 50_000_000;
/// Values inside one another that are believed.
const MAX_DEPTH: usize = 64;

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A number that nothing here needs.
    Float,
    /// Text of Python 3, or bytes of Python 2's `str` that are text.
    Text(Rc<str>),
    /// Bytes of the file.
    Bytes(Range<usize>),
    /// Bytes that text stood for.
    Latin(Rc<Vec<u8>>),
    /// Items, and how deep they are.
    Tuple(Rc<Vec<Value>>, usize),
    List(Rc<RefCell<Nest<Value>>>),
    Dict(Rc<RefCell<Nest<(Value, Value)>>>),
    /// A name that is known and stands for nothing executable.
    Global(Global),
    Array(Rc<RefCell<Array>>),
    Dtype(Rc<RefCell<String>>),
    Mark,
}

/// Items of a container, and how deep they are inside one another.
#[derive(Debug, Clone)]
pub struct Nest<T> {
    pub items: Vec<T>,
    depth: usize,
}

impl<T> Default for Nest<T> {
    fn default() -> Self {
        Self { items: Vec::new(), depth: 0 }
    }
}

/// Names that numpy's pickles hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Global {
    Reconstruct,
    NdArray,
    Dtype,
    Scalar,
    Encode,
    OrderedDict,
    Dict,
    FromBuffer,
    Bytes,
}

/// A numpy array.
#[derive(Debug, Clone, Default)]
pub struct Array {
    pub shape: Vec<usize>,
    /// Such as `u1` or `i8`.
    pub dtype: String,
    pub fortran: bool,
    pub data: Option<Value>,
}

impl Value {
    /// The bytes, of a file that holds `file`.
    pub fn bytes<'a>(&'a self, file: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(range) => file.get(range.clone()),
            Self::Latin(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text.
    pub fn text(&self, file: &[u8]) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_string()),
            other => String::from_utf8(other.bytes(file)?.to_vec()).ok(),
        }
    }

    /// The items of a list or tuple.
    pub fn items(&self) -> Option<Vec<Value>> {
        match self {
            Self::Tuple(items, _) => Some(items.to_vec()),
            Self::List(list) => Some(list.borrow().items.clone()),
            _ => None,
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Tuple(_, depth) => *depth,
            Self::List(list) => list.borrow().depth,
            Self::Dict(dict) => dict.borrow().depth,
            _ => 0,
        }
    }

    /// Bytes, and nothing that could hold others.
    fn is_data(&self) -> bool {
        matches!(self, Self::Bytes(_) | Self::Latin(_))
    }

    /// The entry of a dictionary under a text.
    pub fn entry(&self, key: &str, file: &[u8]) -> Option<Value> {
        let Self::Dict(entries) = self else { return None };
        let entries = entries.borrow();
        let found =
            entries.items.iter().rev().find(|(name, _)| name.text(file).as_deref() == Some(key))?;
        Some(found.1.clone())
    }

    /// Whole numbers: of a list of them, or of an array.
    pub fn integers(&self, file: &[u8]) -> Option<Vec<i64>> {
        if let Self::Array(array) = self {
            let array = array.borrow();
            let bytes = array.data.as_ref()?.bytes(file)?;
            let (signed, width) = match array.dtype.split_at_checked(1)? {
                ("i", width) => (true, width.parse::<usize>().ok()?),
                ("u" | "b", width) => (false, width.parse::<usize>().ok()?),
                _ => return None,
            };
            if !(1..=8).contains(&width) {
                return None;
            }
            let number = |chunk: &[u8]| {
                let mut wide = [0; 8];
                wide[..width].copy_from_slice(chunk);
                let shift = 64 - 8 * width as u32;
                let value = i64::from_le_bytes(wide) << shift;
                if signed { value >> shift } else { ((value as u64) >> shift) as i64 }
            };
            return Some(bytes.chunks_exact(width).map(number).collect());
        }
        let number = |value: &Value| match value {
            Self::Int(value) => Some(*value),
            _ => None,
        };
        self.items()?.iter().map(number).collect()
    }
}

/// Reads a pickle.
pub fn unpickle(file: &[u8]) -> Result<Value, String> {
    Machine { file, at: 0, stack: Vec::new(), memo: HashMap::new(), steps: 0 }.run()
}

struct Machine<'a> {
    file: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
    steps: usize,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Value, String> {
        loop {
            self.steps += 1;
            if self.steps > MAX_VALUES {
                return Err("it has more values than any data set".into());
            }
            let at = self.at;
            let opcode = self.take(1)?.start;
            match self.file[opcode] {
                b'.' => return self.pop(),
                code => self.step(code).map_err(|reason| format!("{reason} (at byte {at})"))?,
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            0x80 => drop(self.take(1)?),                  // PROTO
            0x95 => drop(self.take(8)?),                  // FRAME
            b'(' => self.stack.push(Value::Mark),         // MARK
            b'0' => drop(self.pop()?),                    // POP
            b'1' => drop(self.to_mark()?),                // POP_MARK
            b'2' => self.stack.push(self.top()?.clone()), // DUP
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => self.little(1, Value::Int)?,
            b'M' => self.little(2, Value::Int)?,
            b'J' => self.little(4, |value| Value::Int(i64::from(value as i32)))?,
            0x8a => self.long()?,
            b'I' => self.decimal()?,
            b'L' => self.decimal()?,
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Float);
            }
            b'F' => {
                self.line()?;
                self.stack.push(Value::Float);
            }
            b'S' => {
                let quoted = self.line()?;
                let text = quoted.trim_matches(['\'', '"']);
                if text.contains('\\') {
                    return Err(
                        "text with escapes, of protocol 0; pickle it with protocol 2".into()
                    );
                }
                self.stack.push(Value::Text(text.into()));
            }
            b'V' => {
                let text = self.line()?;
                self.stack.push(Value::Text(text.into()));
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'U' | b'C' => self.bytes(1)?,
            b'T' | b'B' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?,
            b')' => self.stack.push(Value::Tuple(Rc::default(), 0)),
            b't' => {
                let items = self.to_mark()?;
                self.push_tuple(items)?;
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or("the stack is empty")?;
                let items = self.stack.split_off(start);
                self.push_tuple(items)?;
            }
            b']' => self.stack.push(Value::List(Rc::default())),
            b'l' => {
                let items = self.to_mark()?;
                self.stack.push(Value::List(Rc::default()));
                self.append(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.to_mark()?;
                self.append(items)?;
            }
            b'}' => self.stack.push(Value::Dict(Rc::default())),
            b'd' => {
                let items = self.to_mark()?;
                self.stack.push(Value::Dict(Rc::default()));
                self.set_items(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.to_mark()?;
                self.set_items(items)?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            b'p' => {
                let key = self.line()?.parse().map_err(|_| "a memo number is none".to_owned())?;
                self.memo.insert(key, self.top()?.clone());
            }
            0x94 => {
                let key = self.memo.len() as u32;
                self.memo.insert(key, self.top()?.clone());
            }
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            b'g' => {
                let key = self.line()?.parse().map_err(|_| "a memo number is none".to_owned())?;
                self.fetch(key)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Global(global(&module, &name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |value: Value| value.text(self.file).unwrap_or_default();
                let found = global(&text(module), &text(name))?;
                self.stack.push(Value::Global(found));
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let arguments = arguments.items().ok_or("the arguments are no tuple")?;
                let value = self.build_from(&callee, &arguments)?;
                self.stack.push(value);
            }
            b'b' => {
                let state = self.pop()?;
                self.set_state(&state)?;
            }
            other => {
                return Err(format!(
                    "the opcode 0x{other:02x} ({}) is not one of data; nothing in a pickle is executed",
                    char::from(other).escape_default()
                ));
            }
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<Range<usize>, String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.file.len());
        let range = self.at..end.ok_or("it is cut short")?;
        self.at = range.end;
        Ok(range)
    }

    fn number(&mut self, width: usize) -> Result<u64, String> {
        let range = self.take(width)?;
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(&self.file[range]);
        Ok(u64::from_le_bytes(wide))
    }

    fn little(&mut self, width: usize, value: impl Fn(i64) -> Value) -> Result<(), String> {
        let number = self.number(width)?;
        self.stack.push(value(number as i64));
        Ok(())
    }

    fn long(&mut self) -> Result<(), String> {
        let width = self.number(1)? as usize;
        let range = self.take(width)?;
        if width > 8 {
            return Err("a number has more than 64 bits".into());
        }
        let negative = width > 0 && self.file[range.end - 1] & 0x80 != 0;
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        wide[..width].copy_from_slice(&self.file[range]);
        self.stack.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn decimal(&mut self) -> Result<(), String> {
        let line = self.line()?;
        let value = match line.as_str() {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            text => {
                let number = text.trim_end_matches('L').parse();
                Value::Int(number.map_err(|_| format!("`{text}` is no number"))?)
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.file[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("it is cut short")?;
        let text = std::str::from_utf8(&rest[..end]).map_err(|_| "a line is not text")?.to_owned();
        self.at += end + 1;
        Ok(text)
    }

    fn text(&mut self, width: usize) -> Result<(), String> {
        let length = usize::try_from(self.number(width)?).map_err(|_| "it is cut short")?;
        let range = self.take(length)?;
        let text = std::str::from_utf8(&self.file[range]).map_err(|_| "text is not UTF-8")?;
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    fn bytes(&mut self, width: usize) -> Result<(), String> {
        let length = usize::try_from(self.number(width)?).map_err(|_| "it is cut short")?;
        let range = self.take(length)?;
        self.stack.push(Value::Bytes(range));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn top(&self) -> Result<&Value, String> {
        self.stack.last().ok_or_else(|| "the stack is empty".into())
    }

    fn to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let mark = mark.ok_or("there is no mark")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn push_tuple(&mut self, items: Vec<Value>) -> Result<(), String> {
        let depth = deeper(&items)?;
        self.stack.push(Value::Tuple(items.into(), depth));
        Ok(())
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), String> {
        let depth = deeper(&items)?;
        let Some(Value::List(list)) = self.stack.last() else {
            return Err("something is appended to what is no list".into());
        };
        complete(Rc::strong_count(list))?;
        let mut list = list.borrow_mut();
        list.depth = list.depth.max(depth);
        list.items.extend(items);
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), String> {
        let depth = deeper(&items)?;
        let Some(Value::Dict(dict)) = self.stack.last() else {
            return Err("an entry is set in what is no dictionary".into());
        };
        complete(Rc::strong_count(dict))?;
        let mut items = items.into_iter();
        let mut dict = dict.borrow_mut();
        dict.depth = dict.depth.max(depth);
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            dict.items.push((key, value));
        }
        Ok(())
    }

    fn put(&mut self, width: usize) -> Result<(), String> {
        let key = self.number(width)? as u32;
        self.memo.insert(key, self.top()?.clone());
        Ok(())
    }

    fn get(&mut self, width: usize) -> Result<(), String> {
        let key = self.number(width)? as u32;
        self.fetch(key)
    }

    fn fetch(&mut self, key: u32) -> Result<(), String> {
        let value = self.memo.get(&key).ok_or("the memo has no such entry")?.clone();
        self.stack.push(value);
        Ok(())
    }

    /// What numpy's own functions would give, for the few that its pickles name.
    fn build_from(&self, callee: &Value, arguments: &[Value]) -> Result<Value, String> {
        let Value::Global(callee) = callee else {
            return Err("something that is no name is called".into());
        };
        Ok(match (callee, arguments) {
            (Global::Reconstruct, _) => Value::Array(Rc::default()),
            (Global::Dtype, [name, ..]) => {
                let name = name.text(self.file).ok_or("a dtype has no name")?;
                Value::Dtype(Rc::new(name.into()))
            }
            // Python 2's protocols have no bytes: they are text, in Latin-1.
            (Global::Encode, [Value::Text(text), ..]) => {
                let bytes: Option<Vec<u8>> =
                    text.chars().map(|it| u8::try_from(u32::from(it)).ok()).collect();
                Value::Latin(Rc::new(bytes.ok_or("text is not Latin-1")?))
            }
            (Global::Bytes, []) => Value::Latin(Rc::default()),
            (Global::OrderedDict | Global::Dict, []) => Value::Dict(Rc::default()),
            (Global::Scalar, [Value::Dtype(dtype), data]) if data.is_data() => {
                let array = Array {
                    dtype: plain(&dtype.borrow())?,
                    data: Some(data.clone()),
                    ..Array::default()
                };
                let array = Value::Array(Rc::new(array.into()));
                let number = array.integers(self.file).and_then(|it| it.first().copied());
                Value::Int(number.ok_or("a scalar is no whole number")?)
            }
            (Global::FromBuffer, [data, Value::Dtype(dtype), shape, order]) if data.is_data() => {
                let array = Array {
                    shape: shape_of(shape)?,
                    dtype: plain(&dtype.borrow())?,
                    fortran: order.text(self.file).as_deref() == Some("F"),
                    data: Some(data.clone()),
                };
                Value::Array(Rc::new(array.into()))
            }
            (callee, _) => {
                return Err(format!("{callee:?} is called with other arguments than numpy's"));
            }
        })
    }

    /// What `__setstate__` would do.
    fn set_state(&mut self, state: &Value) -> Result<(), String> {
        match self.stack.last() {
            Some(Value::Dtype(dtype)) => {
                // (version, byte order, …): only the order matters, and only big-endian differs.
                let items = state.items().unwrap_or_default();
                if items.get(1).and_then(|it| it.text(self.file)).as_deref() == Some(">") {
                    let name = format!(">{}", dtype.borrow());
                    *dtype.borrow_mut() = name;
                }
                Ok(())
            }
            Some(Value::Array(array)) => {
                let items = state.items().unwrap_or_default();
                let [_, shape, Value::Dtype(dtype), fortran, data] = items.as_slice() else {
                    return Err("an array is not as numpy writes it".into());
                };
                if !data.is_data() {
                    return Err("an array is not of numbers".into());
                }
                *array.borrow_mut() = Array {
                    shape: shape_of(shape)?,
                    dtype: plain(&dtype.borrow())?,
                    fortran: matches!(fortran, Value::Bool(true)),
                    data: Some(data.clone()),
                };
                Ok(())
            }
            _ => Err("a state is set in what is no array".into()),
        }
    }
}

fn shape_of(value: &Value) -> Result<Vec<usize>, String> {
    let sides = value.items().unwrap_or_default();
    let side = |value: &Value| match value {
        Value::Int(side) => usize::try_from(*side).ok(),
        _ => None,
    };
    sides.iter().map(side).collect::<Option<_>>().ok_or_else(|| "an array has no shape".into())
}

fn plain(dtype: &str) -> Result<String, String> {
    if dtype.starts_with('>') || dtype.starts_with('O') {
        return Err(format!("an array of dtype {dtype}: little-endian numbers are read"));
    }
    Ok(dtype.trim_start_matches(['<', '|', '=']).to_owned())
}

/// How deep a container of these is. Without a limit a pickle of a few megabytes would be a chain
/// that overflows the stack when it is dropped.
fn deeper(items: &[Value]) -> Result<usize, String> {
    let depth = items.iter().map(Value::depth).max().unwrap_or(0) + 1;
    if depth > MAX_DEPTH { Err("values are too deep inside one another".into()) } else { Ok(depth) }
}

/// A container is filled before it is put into another: it is on the stack and in the memo, and
/// nowhere else. So depths are final, and nothing holds itself.
fn complete(references: usize) -> Result<(), String> {
    if references > 2 { Err("a container is filled after it was used".into()) } else { Ok(()) }
}

fn global(module: &str, name: &str) -> Result<Global, String> {
    Ok(match (module, name) {
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::Reconstruct,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::Scalar,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Global::FromBuffer,
        ("numpy", "ndarray") => Global::NdArray,
        ("numpy", "dtype") => Global::Dtype,
        ("_codecs", "encode") => Global::Encode,
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("builtins" | "__builtin__", "dict") => Global::Dict,
        ("builtins" | "__builtin__", "bytes") => Global::Bytes,
        _ => {
            return Err(format!(
                "it names {module}.{name}, which is not data; nothing is executed"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_be_executed_is_refused_by_name() {
        let attack = b"cposix\nsystem\n(S'echo'\ntR.";
        assert!(unpickle(attack).unwrap_err().contains("posix.system"));
        assert!(
            unpickle(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.")
                .unwrap_err()
                .contains("builtins.eval")
        );
        assert!(unpickle(b"(i__main__\nX\n.").unwrap_err().contains("opcode 0x69"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpickle(&bytes);
        }

        #[test]
        fn any_opcodes_are_read_without_a_panic(
            codes in proptest::collection::vec(proptest::sample::select(b"(0125NKMJ]ae}dsuqh)tlbR\x85\x86\x87\x88\x94\x81.".to_vec()), 0..80),
        ) {
            let _ = unpickle(&codes);
        }
    }
}
