//! The opcodes that dictionaries, lists, text, numbers and numpy arrays are made of. Nothing is
//! imported and nothing is called; anything else that a pickle asks for is refused by name.

use std::collections::HashMap;
use std::rc::Rc;

use super::array::Bytes;
use super::global::global;
use super::input::Input;
use super::numpy;
use super::text::{bytes_of_repr, text_of_escapes};
use super::value::{MAX_DEPTH, Value};

/// Most opcodes that are read.
const MAX_STEPS: usize = 50_000_000;

/// Evaluates a pickle without running any code that it names; an error names the opcode or limit.
pub fn unpickle(file: &[u8]) -> Result<Value, String> {
    Machine { input: Input { file, at: 0 }, stack: Vec::new(), memo: HashMap::new(), steps: 0 }
        .run()
}

struct Machine<'a> {
    input: Input<'a>,
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
    steps: usize,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Value, String> {
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err("it has more values than any data set".into());
            }
            let at = self.input.at;
            let opcode = self.input.take(1)?.start;
            match self.input.file[opcode] {
                b'.' => return self.pop(),
                code => self.step(code).map_err(|reason| format!("{reason} (at byte {at})"))?,
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            0x80 => _ = self.input.take(1)?,              // PROTO
            0x95 => _ = self.input.take(8)?,              // FRAME
            b'(' => self.stack.push(Value::Mark),         // MARK
            b'0' => drop(self.pop()?),                    // POP
            b'1' => drop(self.pop_to_mark()?),            // POP_MARK
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
                self.input.take(8)?;
                self.stack.push(Value::Float);
            }
            b'F' => {
                self.input.line()?;
                self.stack.push(Value::Float);
            }
            b'S' => {
                let bytes = bytes_of_repr(self.input.line()?)?;
                self.stack.push(Value::Bytes(Bytes::Owned(bytes.into())));
            }
            b'V' => {
                let text = text_of_escapes(self.input.line()?)?;
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
                let items = self.pop_to_mark()?;
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
                let items = self.pop_to_mark()?;
                self.stack.push(Value::List(Rc::default()));
                self.append(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b'}' => self.stack.push(Value::Dict(Rc::default())),
            b'd' => {
                let items = self.pop_to_mark()?;
                self.stack.push(Value::Dict(Rc::default()));
                self.set_items(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            b'p' => {
                let key = self.memo_key()?;
                self.memo.insert(key, self.top()?.clone());
            }
            0x94 => {
                let key = self.memo.len() as u32;
                self.memo.insert(key, self.top()?.clone());
            }
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            b'g' => {
                let key = self.memo_key()?;
                self.fetch(key)?;
            }
            b'c' => {
                let (module, name) = (self.input.name()?, self.input.name()?);
                self.stack.push(Value::Global(global(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |value: Value| value.text(self.input.file).unwrap_or_default();
                let found = global(&text(module), &text(name))?;
                self.stack.push(Value::Global(found));
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let arguments = arguments.items().ok_or("the arguments are not a tuple")?;
                let value = numpy::call(self.input.file, &callee, &arguments)?;
                self.stack.push(value);
            }
            b'b' => {
                let state = self.pop()?;
                numpy::set_state(self.input.file, self.stack.last(), &state)?;
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

    fn little(&mut self, width: usize, value: impl Fn(i64) -> Value) -> Result<(), String> {
        let number = self.input.number(width)?;
        self.stack.push(value(number as i64));
        Ok(())
    }

    fn long(&mut self) -> Result<(), String> {
        let width = self.input.number(1)? as usize;
        let range = self.input.take(width)?;
        if width > 8 {
            return Err("a number has more than 64 bits".into());
        }
        let negative = width > 0 && self.input.file[range.end - 1] & 0x80 != 0;
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        wide[..width].copy_from_slice(&self.input.file[range]);
        self.stack.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn decimal(&mut self) -> Result<(), String> {
        let value = match self.input.name()? {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            text => {
                let number = text.trim_end_matches('L').parse();
                Value::Int(number.map_err(|_| format!("`{text}` is not a number"))?)
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn memo_key(&mut self) -> Result<u32, String> {
        self.input.name()?.parse().map_err(|_| "a place in the memo is not a number".into())
    }

    fn text(&mut self, width: usize) -> Result<(), String> {
        let length = usize::try_from(self.input.number(width)?).map_err(|_| "it is cut short")?;
        let range = self.input.take(length)?;
        let text = std::str::from_utf8(&self.input.file[range]).map_err(|_| "text is not UTF-8")?;
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    fn bytes(&mut self, width: usize) -> Result<(), String> {
        let length = usize::try_from(self.input.number(width)?).map_err(|_| "it is cut short")?;
        let range = self.input.take(length)?;
        self.stack.push(Value::Bytes(Bytes::File(range)));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn top(&self) -> Result<&Value, String> {
        self.stack.last().ok_or_else(|| "the stack is empty".into())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
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
            return Err("something is appended to what is not a list".into());
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
            return Err("an entry is set in what is not a dictionary".into());
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
        let key = self.input.number(width)? as u32;
        self.memo.insert(key, self.top()?.clone());
        Ok(())
    }

    fn get(&mut self, width: usize) -> Result<(), String> {
        let key = self.input.number(width)? as u32;
        self.fetch(key)
    }

    fn fetch(&mut self, key: u32) -> Result<(), String> {
        let value = self.memo.get(&key).ok_or("the memo has no such entry")?.clone();
        self.stack.push(value);
        Ok(())
    }
}

/// Depth of a container of these values. Without a limit a pickle of a few megabytes could nest values
/// so deep that dropping them overflows the stack.
fn deeper(items: &[Value]) -> Result<usize, String> {
    let depth = items.iter().map(Value::depth).max().unwrap_or(0) + 1;
    if depth > MAX_DEPTH { Err("values are too deep inside one another".into()) } else { Ok(depth) }
}

/// Checks that a container is on the stack and in the memo alone: it is filled before it is put into
/// another. So depths are final, and no value holds itself.
fn complete(references: usize) -> Result<(), String> {
    if references > 2 { Err("a container is filled after it was used".into()) } else { Ok(()) }
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
