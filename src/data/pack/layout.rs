//! Constants of the file and numbers in it.

/// First bytes of a pack.
pub const MAGIC: &[u8; 8] = b"fsctpack";
/// Version of the layout.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER: usize = 64;

/// The first four bytes.
pub fn four(bytes: &[u8]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

/// The first eight bytes.
pub fn eight(bytes: &[u8]) -> [u8; 8] {
    std::array::from_fn(|at| bytes[at])
}

/// Takes bytes off the front.
pub fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

/// Takes a text off the front: its length in two bytes, then UTF-8.
pub fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = u16::from_le_bytes(take(bytes, 2)?.try_into().ok()?);
    std::str::from_utf8(take(bytes, usize::from(length))?).ok()
}
