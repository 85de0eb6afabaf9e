//! What happened, as JSON, written when the process ends.

use std::fmt::Write;
use std::sync::Once;

use crate::launch::launches;
use crate::memory::memory;
use crate::switches::switches;

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

/// Has the report written at the end of the process.
pub fn at_exit() {
    static ONCE: Once = Once::new();
    // SAFETY: the function takes nothing and returns nothing, as `atexit` asks.
    ONCE.call_once(|| unsafe {
        atexit(write);
    });
}

extern "C" fn write() {
    let Some(path) = &switches().log else { return };
    let (memory, launches) = (memory(), launches());
    let mut kernels = String::new();
    for (name, count) in launches.by_name() {
        let comma = if kernels.is_empty() { "" } else { "," };
        // Kernels' names are identifiers: nothing to escape.
        let _ = write!(kernels, "{comma}\n  \"{name}\": {count}");
    }
    let text = format!(
        "{{\"capacity\": {}, \"peak\": {}, \"left\": {}, \"pool_used\": {}, \
         \"pool_reserved\": {}, \"allocations\": {}, \"refused\": {}, \"modules\": {}, \
         \"launches\": {}, \"kernels\": {{{kernels}\n}}}}\n",
        switches().memory,
        memory.peak,
        memory.given(),
        memory.pool_used_peak,
        memory.pool_reserved_peak,
        memory.allocations,
        memory.refused,
        launches.modules,
        launches.launches,
    );
    // Nobody is left to tell; the reader finds no file.
    let _ = std::fs::write(path, text);
}
