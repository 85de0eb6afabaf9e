//! Positions in characters → positions in bytes.

/// The byte at which each character of a text starts; the parser counts characters.
pub(super) enum Offsets {
    Ascii,
    Table(Vec<u32>),
}

impl Offsets {
    pub(super) fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii;
        }
        let bytes = text.char_indices().map(|(byte, _)| byte as u32);
        Self::Table(bytes.chain([text.len() as u32]).collect())
    }

    /// The byte of a character, or the end of the text.
    pub(super) fn byte(&self, index: usize) -> usize {
        match self {
            Self::Ascii => index,
            Self::Table(bytes) => {
                bytes.get(index).or(bytes.last()).map_or(0, |&byte| byte as usize)
            }
        }
    }
}
