//! Rows of a view, and lines of text in them.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;

/// Writes a line of text where there is room for it.
pub(super) fn line(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if area.height > 0 {
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), style);
    }
}

/// Takes rows from the top of what is left.
pub(super) fn top(rest: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(rest.height);
    let taken = Rect { height: rows, ..*rest };
    (rest.y, rest.height) = (rest.y + rows, rest.height - rows);
    taken
}

/// Takes rows from the bottom of what is left.
pub(super) fn bottom(rest: &mut Rect, rows: u16) -> Rect {
    rest.height -= rows.min(rest.height);
    Rect { y: rest.y + rest.height, height: rows, ..*rest }
}

/// The lines that a text takes.
pub(super) fn wrapped(text: &str, width: u16, indent: &'static str) -> Vec<String> {
    let options = textwrap::Options::new(usize::from(width.max(1)))
        .subsequent_indent(if usize::from(width) > 2 * indent.len() { indent } else { "" });
    textwrap::wrap(text, options).into_iter().map(|it| it.into_owned()).collect()
}
