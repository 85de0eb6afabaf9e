//! A pipeline file → its text.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use super::{
    diagnostic::Diagnostic,
    parse,
    source::{Source, SourceKind, Span},
};
use crate::config::pipeline::Rule;

/// Reads a pipeline file; `name` is what diagnostics call it.
pub fn read_source(path: &Path, name: &str) -> Result<Arc<Source>, Diagnostic> {
    let unreadable = |message: String, help: &str| {
        Diagnostic::new(Rule::File, "", None, message).help(help.to_owned())
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(parse::MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => unreadable(
                format!("there is no file `{name}`"),
                "check the path; `fsct init` writes a starter pipeline",
            ),
            _ => unreadable(
                format!("`{name}` cannot be read: {error}"),
                "name a pipeline file that you may read",
            ),
        })?;
    let source = decode(bytes, name)?;
    Ok(Arc::new(Source { path: Some(path.to_owned()), ..source }))
}

/// Bytes → text, or where they stop being UTF-8.
fn decode(mut bytes: Vec<u8>, name: &str) -> Result<Source, Diagnostic> {
    if bytes.len() > parse::MAX_BYTES {
        bytes.truncate(256);
        let head = String::from_utf8_lossy(&bytes).into_owned();
        return Err(parse::too_large(&Arc::new(Source::new(SourceKind::File, name, head))));
    }
    let encoding = |source: &Arc<Source>, at: std::ops::Range<usize>, message: String| {
        Diagnostic::new(Rule::Encoding, "", Some(Span::new(source, at)), message)
            .label("here")
            .help("save the file as UTF-8".to_owned())
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let source = Arc::new(Source::new(SourceKind::File, name, ""));
        return Err(encoding(&source, 0..0, "the file is UTF-16, not UTF-8".into()));
    }
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map(|text| Source::new(SourceKind::File, name, text)).map_err(
        |error| {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes()[at];
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = Arc::new(Source::new(SourceKind::File, name, text));
            encoding(&source, at..at + 3, format!("the byte 0x{byte:02x} is not UTF-8"))
        },
    )
}
