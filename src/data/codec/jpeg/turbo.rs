//! libjpeg-turbo's decoder, called safely.
//!
//! Only the rows and columns of a region are reconstructed. The entropy-coded data have no index, so
//! all of them up to the region's last row are read in any case.

use std::ffi::{c_int, c_ulong};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg_sys::{
    J_COLOR_SPACE, JPEG_LIB_VERSION, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_JPEG_EOF,
    JWRN_MUST_RESYNC, jpeg_CreateDecompress, jpeg_common_struct, jpeg_crop_scanline,
    jpeg_decompress_struct, jpeg_destroy_decompress, jpeg_error_mgr, jpeg_mem_src,
    jpeg_read_header, jpeg_read_scanlines, jpeg_skip_scanlines, jpeg_start_decompress,
    jpeg_std_error,
};

use super::super::raster::PIXEL;
use super::Size;

/// Pixels around a region that are decoded as well: chroma is upsampled from neighbours, and the
/// largest coding unit is 32 pixels wide.
const MARGIN: usize = 32;
/// Bytes of the widest register that the library stores with.
const REGISTER: usize = 32;
/// Rows read at once.
const ROWS: usize = 8;

/// Size of an image, from its header.
pub fn size(file: &[u8]) -> Result<Size, String> {
    Decoder::run(|decoder| {
        decoder.read_header(file);
        Ok(Size { width: decoder.info.image_width as _, height: decoder.info.image_height as _ })
    })
}

/// Decodes the rows and columns of a region; `row` is given each, `[columns, PIXEL]`, from the top.
pub fn region(
    file: &[u8],
    columns: Range<usize>,
    rows: Range<usize>,
    row: &mut dyn FnMut(usize, &[u8]),
) -> Result<(), String> {
    Decoder::run(|decoder| {
        decoder.read_header(file);
        decoder.region(columns, rows, row)
    })
}

/// The library's state; boxed, as the library keeps pointers into it.
struct Decoder {
    info: jpeg_decompress_struct,
    errors: Box<jpeg_error_mgr>,
}

impl Decoder {
    /// Creates a decoder and runs `read` with it. An error that the library raises, at creation too,
    /// is returned.
    fn run<T>(read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        // SAFETY: both are C structures for which all zeros is a value. `jpeg_destroy_decompress`
        // accepts a decoder of zeros, so dropping it before `create` has finished is sound.
        let mut decoder = Box::new(unsafe {
            Self {
                info: MaybeUninit::zeroed().assume_init(),
                errors: Box::new(MaybeUninit::zeroed().assume_init()),
            }
        });
        let result = catch_unwind(AssertUnwindSafe(|| {
            decoder.create();
            read(&mut decoder)
        }));
        result.unwrap_or_else(|thrown| match thrown.downcast::<Thrown>() {
            Ok(thrown) => Err(thrown.0),
            // A panic of this crate, not an error of the file.
            Err(panic) => resume_unwind(panic),
        })
    }

    /// Calls the library's constructor. It may unwind, so it runs inside `catch_unwind`.
    fn create(&mut self) {
        // SAFETY: the error manager lives as long as the decoder (both are boxed and dropped
        // together), and is set before the first call that can fail.
        unsafe {
            jpeg_std_error(&mut self.errors);
            self.errors.error_exit = Some(fail);
            self.errors.emit_message = Some(warn);
            self.info.common.err = &mut *self.errors;
            let size = size_of::<jpeg_decompress_struct>();
            jpeg_CreateDecompress(&mut self.info, JPEG_LIB_VERSION as c_int, size);
        }
    }

    fn read_header(&mut self, file: &[u8]) {
        // SAFETY: `file` outlives the closure that `run` calls; the library only reads it.
        unsafe {
            jpeg_mem_src(&mut self.info, file.as_ptr(), file.len() as c_ulong);
            jpeg_read_header(&mut self.info, 1);
        }
    }

    fn region(
        &mut self,
        columns: Range<usize>,
        rows: Range<usize>,
        row: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), String> {
        let width = self.info.image_width as usize;
        let is_cmyk = self.info.num_components == 4;
        self.info.out_color_space =
            if is_cmyk { J_COLOR_SPACE::JCS_CMYK } else { J_COLOR_SPACE::JCS_EXT_RGBX };
        // SAFETY: the header is read, and the calls below are made in the order that the library
        // requires: start, crop, skip, read.
        unsafe { jpeg_start_decompress(&mut self.info) };

        let mut left = columns.start.saturating_sub(MARGIN) as u32;
        let right = (columns.end + MARGIN).min(width) as u32;
        if left > 0 || (right as usize) < width {
            let mut cropped = right - left;
            // SAFETY: see above.
            unsafe { jpeg_crop_scanline(&mut self.info, &mut left, &mut cropped) };
        }
        let above = rows.start.saturating_sub(MARGIN) as u32;
        if above > 0 {
            // SAFETY: see above.
            unsafe { jpeg_skip_scanlines(&mut self.info, above) };
        }

        // The library writes to aligned rows with non-temporal stores, and reading such a row back
        // took longer than everything except the entropy decoding. So rows are not aligned.
        let stride = (self.info.output_width as usize * PIXEL).next_multiple_of(REGISTER);
        let skip = (columns.start - left as usize) * PIXEL;
        let used = skip..skip + columns.len() * PIXEL;
        let mut buffer = vec![0; stride * ROWS + 2 * REGISTER];
        let aligned = buffer.as_ptr().align_offset(REGISTER);
        let buffer = &mut buffer[aligned + PIXEL..][..stride * ROWS];
        while (self.info.output_scanline as usize) < rows.end {
            let first = self.info.output_scanline as usize;
            let mut pointers: [*mut u8; ROWS] = [std::ptr::null_mut(); ROWS];
            for (pointer, line) in pointers.iter_mut().zip(buffer.chunks_exact_mut(stride)) {
                *pointer = line.as_mut_ptr();
            }
            // SAFETY: each pointer is to a row of at least the output's width.
            let read = unsafe {
                jpeg_read_scanlines(&mut self.info, pointers.as_mut_ptr(), ROWS as u32) as usize
            };
            if read == 0 {
                return Err("it ends in the middle".into());
            }
            for (y, line) in (first..first + read).zip(buffer.chunks_exact_mut(stride)) {
                if is_cmyk {
                    rgb_of_cmyk(line);
                }
                if rows.contains(&y) {
                    row(y, &line[used.clone()]);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: it is created or all zeros, and destroyed once.
        unsafe { jpeg_destroy_decompress(&mut self.info) };
    }
}

/// The panic payload that carries an error through the library's frames, which are compiled with
/// unwind tables.
struct Thrown(String);

/// The library's fatal errors.
unsafe extern "C-unwind" fn fail(info: &mut jpeg_common_struct) {
    let mut text = [0u8; 80];
    // SAFETY: the error manager is alive while the library runs; the buffer is as long as it asks.
    unsafe {
        if let Some(format) = (*info.err).format_message {
            let writable: *mut [u8; 80] = &mut text;
            format(info, &*writable);
        }
    }
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    resume_unwind(Box::new(Thrown(String::from_utf8_lossy(&text[..end]).into_owned())))
}

/// The library's warnings. It fills missing data with grey; an image with missing data is damaged, so
/// those warnings are errors here. Warnings about unusual headers are ignored.
unsafe extern "C-unwind" fn warn(info: &mut jpeg_common_struct, level: c_int) {
    // SAFETY: the error manager is alive while the library runs.
    let code = unsafe { (*info.err).msg_code };
    let lost = [JWRN_JPEG_EOF, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_MUST_RESYNC];
    if level == -1 && lost.iter().any(|it| *it as c_int == code) {
        // SAFETY: as for the library's own call of it.
        unsafe { fail(info) }
    }
}

/// Adobe's inverted CMYK → RGB, as Pillow does it.
fn rgb_of_cmyk(row: &mut [u8]) {
    for pixel in row.chunks_exact_mut(PIXEL) {
        let black = u32::from(pixel[3]);
        for value in &mut pixel[..3] {
            let product = u32::from(255 - *value) * black + 128;
            *value = black.saturating_sub((product + (product >> 8)) >> 8) as u8;
        }
    }
}
