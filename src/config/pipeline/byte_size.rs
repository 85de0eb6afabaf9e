use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An amount of memory with its unit: `8GiB`, `500 MB`.
///
/// `KiB`, `MiB`, `GiB` and `TiB` are powers of 1024; `kB`, `MB`, `GB` and `TB` of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// Units with their bytes, longest name first where one ends another.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

impl ByteSize {
    /// What is wrong with a text that is not an amount of memory, and what to write instead.
    pub fn slip(text: &str) -> Option<String> {
        let text = text.trim();
        let number = text.trim_end_matches(|c: char| c.is_alphabetic() || c.is_whitespace());
        let unit = text[number.len()..].trim();
        number.parse::<f64>().ok().filter(|number| *number > 0.0)?;
        let unit = match unit.to_lowercase().as_str() {
            "" | "g" | "gb" | "gib" | "gi" => "GiB",
            "k" | "kb" | "kib" | "ki" => "KiB",
            "m" | "mb" | "mib" | "mi" => "MiB",
            "t" | "tb" | "tib" | "ti" => "TiB",
            _ => return None,
        };
        Some(format!("write the unit: `{number}{unit}`"))
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an amount of memory such as `8GiB` or `500 MB`");
        let (number, bytes) = UNITS
            .iter()
            .find_map(|(unit, bytes)| Some((text.trim().strip_suffix(unit)?.trim_end(), *bytes)))
            .ok_or_else(wrong)?;
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number: f64 = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
        let size = number * bytes as f64;
        if (1.0..9e18).contains(&size) { Ok(Self(size as u64)) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// The shortest that reads back as the same number of bytes; fewer decimals before more.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = (0..=3).flat_map(|digits| {
            UNITS.iter().map(move |(unit, bytes)| {
                format!("{:.digits$}{unit}", self.0 as f64 / *bytes as f64)
            })
        });
        match texts.filter(|text| text.parse() == Ok(*self)).min_by_key(String::len) {
            Some(text) => f.write_str(&text),
            // An odd number of bytes: exact as a fraction of 1024.
            None => write!(f, "{}KiB", self.0 as f64 / 1024.0),
        }
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "byte-size",
            "pattern": "^ *[0-9]+(\\.[0-9]+)? *([KMGT]iB|[kKMGT]B) *$",
            "examples": ["8GiB", "500MiB", "16 GB"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_what_they_say() {
        for (text, bytes) in [
            ("8GiB", 8 << 30),
            ("16 GB", 16_000_000_000),
            ("1.5GiB", 3 << 29),
            ("512 MiB", 512 << 20),
            ("1kB", 1000),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
        }
        for text in ["1.2GiB", "2.5TiB", "8GiB", "512MiB", "16GB", "1.001MiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for text in ["8", "0.5", "8G", "GiB", "-1GiB", "0GiB", "1e3GiB", "nanGiB", "8 GiB x"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_slip_is_told_from_nonsense() {
        assert_eq!(ByteSize::slip("8").as_deref(), Some("write the unit: `8GiB`"));
        assert_eq!(ByteSize::slip("0.5 g").as_deref(), Some("write the unit: `0.5GiB`"));
        assert_eq!(ByteSize::slip("much"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes in 1u64..1 << 50) {
            let size = ByteSize(bytes);
            prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
        }
    }
}
