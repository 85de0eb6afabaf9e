//! The markers before the scan.

use std::sync::Arc;

use super::huffman::{Code, Kind};
use super::zigzag::Steps;

/// What a file says of itself before its scan.
pub struct Header {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Grey, or luma and two of chroma.
    pub components: Vec<Component>,
    /// MCUs between two restart markers; 0 where there are none.
    pub restart_interval: usize,
    /// Where the scan's data start.
    pub scan: usize,
}

/// A component of the image.
pub struct Component {
    /// Blocks of an MCU from left to right.
    pub across: usize,
    /// Blocks of an MCU from top to bottom.
    pub down: usize,
    /// Its steps.
    pub steps: Steps,
    /// Code of its first coefficients.
    pub dc: Arc<Code>,
    /// Code of the others.
    pub ac: Arc<Code>,
}

/// A component as the frame describes it.
struct Framed {
    id: u8,
    across: usize,
    down: usize,
    steps: usize,
}

impl Header {
    /// Reads it; `None` for what is damaged, or is no baseline JPEG of one scan in grey or YCbCr.
    pub fn read(file: &[u8]) -> Option<Self> {
        let mut at = 2;
        let mut steps: [Option<Steps>; 4] = [None; 4];
        let mut codes: [[Option<Arc<Code>>; 4]; 2] = Default::default();
        let mut frame: Option<(usize, usize, Vec<Framed>)> = None;
        let (mut is_jfif, mut adobe, mut restart_interval) = (false, None, 0);
        if file.get(..2)? != [0xff, 0xd8] {
            return None;
        }
        loop {
            let &[0xff, marker, high, low] = file.get(at..at + 4)? else { return None };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let body = file.get(at + 4..at + 2 + length)?;
            at += 2 + length;
            match marker {
                0xc0 if frame.is_none() => frame = Some(read_frame(body)?),
                0xc4 => read_codes(body, &mut codes)?,
                0xda => {
                    let (width, height, framed) = frame?;
                    let ids: Vec<u8> = framed.iter().map(|it| it.id).collect();
                    let is_known = match (ids.len(), is_jfif, adobe) {
                        (1, ..) | (3, true, _) | (3, false, Some(1)) => true,
                        (3, false, None) => ids == [1, 2, 3],
                        _ => false,
                    };
                    if !is_known {
                        return None;
                    }
                    let components = read_scan(body, framed, &steps, &codes)?;
                    return Some(Self { width, height, components, restart_interval, scan: at });
                }
                0xdb => read_steps(body, &mut steps)?,
                0xdd => {
                    restart_interval = usize::from(u16::from_be_bytes(body.try_into().ok()?));
                }
                0xe0 => is_jfif |= body.len() >= 14 && body.starts_with(b"JFIF\0"),
                0xee if body.starts_with(b"Adobe") => adobe = Some(*body.get(11)?),
                0xe1..=0xef | 0xfe => {}
                _ => return None,
            }
        }
    }
}

fn read_frame(body: &[u8]) -> Option<(usize, usize, Vec<Framed>)> {
    let (&[8, h0, h1, w0, w1, count], rest) = body.split_first_chunk::<6>()? else { return None };
    let (height, width) = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([w0, w1]));
    let (components, rest) = rest.as_chunks::<3>();
    if height == 0 || width == 0 || components.len() != usize::from(count) || !rest.is_empty() {
        return None;
    }
    let framed: Vec<Framed> = components
        .iter()
        .map(|&[id, sampling, steps]| Framed {
            id,
            across: usize::from(sampling >> 4),
            down: usize::from(sampling & 15),
            steps: usize::from(steps),
        })
        .collect();
    // Grey, 4:4:4, 4:2:2 and 4:2:0. Chroma of one or two columns is not interpolated.
    match framed.iter().map(|it| (it.across, it.down)).collect::<Vec<_>>()[..] {
        [(1..=4, 1..=4)] | [(1, 1), (1, 1), (1, 1)] => {}
        [(2, 1 | 2), (1, 1), (1, 1)] if width > 4 => {}
        _ => return None,
    }
    Some((usize::from(width), usize::from(height), framed))
}

fn read_steps(mut body: &[u8], tables: &mut [Option<Steps>; 4]) -> Option<()> {
    while let Some((table, rest)) = body.split_first() {
        let (values, rest) = rest.split_first_chunk::<64>()?;
        // The high half would say that steps have 16 bits, which baseline has not.
        *tables.get_mut(usize::from(*table))? = Some(values.map(u16::from));
        body = rest;
    }
    Some(())
}

fn read_codes(mut body: &[u8], codes: &mut [[Option<Arc<Code>>; 4]; 2]) -> Option<()> {
    while let Some((table, rest)) = body.split_first() {
        let (lengths, rest) = rest.split_first_chunk::<16>()?;
        let count = lengths.iter().map(|it| usize::from(*it)).sum();
        let (symbols, rest) = rest.split_at_checked(count)?;
        let kind = if table >> 4 == 0 { Kind::Dc } else { Kind::Ac };
        let place = codes.get_mut(usize::from(table >> 4))?.get_mut(usize::from(table & 15))?;
        *place = Some(Code::cached(kind, lengths, symbols)?);
        body = rest;
    }
    Some(())
}

fn read_scan(
    body: &[u8],
    framed: Vec<Framed>,
    steps: &[Option<Steps>; 4],
    codes: &[[Option<Arc<Code>>; 4]; 2],
) -> Option<Vec<Component>> {
    let (&count, rest) = body.split_first()?;
    let (listed, rest) = rest.split_at_checked(2 * usize::from(count))?;
    // All coefficients, in full precision.
    if usize::from(count) != framed.len() || rest != [0, 63, 0] {
        return None;
    }
    let is_grey = framed.len() == 1;
    listed
        .chunks_exact(2)
        .zip(framed)
        .map(|(listed, framed)| {
            let (&[id, tables], Framed { across, down, .. }) = (listed, &framed) else {
                return None;
            };
            if id != framed.id {
                return None;
            }
            let code = |kind: usize, table: u8| codes[kind].get(usize::from(table))?.clone();
            // A scan of one component has a block an MCU, whatever its sampling is said to be.
            let (across, down) = if is_grey { (1, 1) } else { (*across, *down) };
            let steps = (*steps.get(framed.steps)?)?;
            Some(Component {
                across,
                down,
                steps,
                dc: code(0, tables >> 4)?,
                ac: code(1, tables & 15)?,
            })
        })
        .collect()
}
