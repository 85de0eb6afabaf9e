//! Text of protocol 0, which is a line with escapes.

/// Python's raw-unicode-escape: Latin-1, with `\uXXXX` and `\UXXXXXXXX` for other characters.
pub fn text_of_escapes(line: &[u8]) -> Result<String, String> {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let digits = match (first, tail.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(*first));
                continue;
            }
        };
        let code = tail.get(1..=digits).and_then(hexadecimal).ok_or("an escape is cut short")?;
        // A character beyond the first 65,536 may stand as two halves, which no text of names has.
        text.push(char::from_u32(code).ok_or("an escape is not a character")?);
        rest = &tail[1 + digits..];
    }
    Ok(text)
}

/// Python's `repr` of a string, as Python 2 wrote its bytes: quotes, and escapes such as `\n`, `\\`
/// and `\xe9`.
pub fn bytes_of_repr(line: &[u8]) -> Result<Vec<u8>, String> {
    let quoted = match line {
        [b'\'', inside @ .., b'\''] | [b'"', inside @ .., b'"'] => inside,
        _ => return Err("a string has no quotes".into()),
    };
    let mut bytes = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let [code, tail @ ..] = tail else { return Err("an escape is cut short".into()) };
        rest = tail;
        bytes.push(match code {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'\\' | b'\'' | b'"' => *code,
            b'x' => {
                let digits = tail.get(..2).and_then(hexadecimal).ok_or("an escape is cut short")?;
                rest = &tail[2..];
                digits as u8
            }
            other => return Err(format!("a string has the escape \\{}", char::from(*other))),
        });
    }
    Ok(bytes)
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_python_writes_them() {
        assert_eq!(text_of_escapes(b"caf\xe9 \\u4e2d\\u005c"), Ok("café 中\\".into()));
        assert!(text_of_escapes(b"\\u12").is_err());
        assert_eq!(bytes_of_repr(br"'a\x00\xff\n\\'"), Ok(b"a\0\xff\n\\".to_vec()));
        assert_eq!(bytes_of_repr(b"\"it's\""), Ok(b"it's".to_vec()));
        for wrong in [&b"'a"[..], b"'\\x1'", b"'", b"", b"'\\q'"] {
            assert!(bytes_of_repr(wrong).is_err(), "{wrong:?}");
        }
    }
}
