//! Values that pickles of data are made of.

use std::cell::RefCell;
use std::rc::Rc;

use super::array::{Array, Bytes};
use super::global::Global;

/// A value on the stack of the pickle machine.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A fraction, whose value is not needed.
    Float,
    /// Text of Python 3, or bytes of Python 2's `str` that are text.
    Text(Rc<str>),
    /// Bytes, or text that is not UTF-8.
    Bytes(Bytes),
    /// Items, and how deep they are.
    Tuple(Rc<Vec<Value>>, usize),
    List(Rc<RefCell<Nest<Value>>>),
    Dict(Rc<RefCell<Nest<(Value, Value)>>>),
    /// A name that is known.
    Global(Global),
    Array(Rc<RefCell<Array>>),
    Dtype(Rc<RefCell<String>>),
    Mark,
}

/// Most values inside one another.
pub const MAX_DEPTH: usize = 64;

/// Items of a container, and how deep they are inside one another.
#[derive(Debug, Clone)]
pub struct Nest<T> {
    pub items: Vec<T>,
    pub depth: usize,
}

impl<T> Default for Nest<T> {
    fn default() -> Self {
        Self { items: Vec::new(), depth: 0 }
    }
}

impl Value {
    /// The value as text, if it is text or bytes that are UTF-8.
    pub fn text(&self, file: &[u8]) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_string()),
            Self::Bytes(bytes) => String::from_utf8(bytes.of(file)?.to_vec()).ok(),
            _ => None,
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

    /// How deep it is: 0 for what holds no value.
    pub fn depth(&self) -> usize {
        match self {
            Self::Tuple(_, depth) => *depth,
            Self::List(list) => list.borrow().depth,
            Self::Dict(dict) => dict.borrow().depth,
            _ => 0,
        }
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
            return array.borrow().integers(file);
        }
        let number = |value: &Value| match value {
            Self::Int(value) => Some(*value),
            _ => None,
        };
        self.items()?.iter().map(number).collect()
    }
}
