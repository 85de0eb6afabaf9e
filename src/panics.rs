//! Panics of libraries that are handled as errors.
//!
//! Burn reports a GPU's errors as panics: on the thread that asked, and on the thread that drives the device. Where
//! such an error is expected and handled, nothing is printed; any other panic is printed in full, after those that
//! were kept back. An image decoder may panic on a damaged file.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::{Mutex, Once, PoisonError};

/// Panics on devices' threads that were not printed, oldest first.
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// More than these are of no use to a reader.
const MAX_KEPT: usize = 8;

thread_local! {
    /// Calls of [`outcome`] that this thread is in.
    static EXPECTED: Cell<usize> = const { Cell::new(0) };
    /// Its own panics in there that were not printed.
    static OWN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn kept() -> std::sync::MutexGuard<'static, Vec<String>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work`; a panic in it is an error where `expected` knows its message, or that of a panic on a device's thread
/// that caused it, and nothing is printed. Any other panic is resumed.
///
/// # Errors
/// What `expected` made of the message.
pub(crate) fn outcome<T, E>(
    work: impl FnOnce() -> T,
    expected: impl Fn(&str) -> Option<E>,
) -> Result<T, E> {
    keep_quiet();
    EXPECTED.set(EXPECTED.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(EXPECTED.get() - 1);
    done.or_else(|panic| {
        // The oldest one is the cause.
        let known = kept().iter().find_map(|text| expected(text));
        match known.or_else(|| message(&*panic).and_then(&expected)) {
            Some(error) => {
                kept().clear();
                OWN.take();
                Err(error)
            }
            None => {
                if EXPECTED.get() == 0 {
                    print_kept();
                }
                resume_unwind(panic)
            }
        }
    })
}

/// Runs `work`, in which every panic is an error; nothing is printed of it.
///
/// # Errors
/// The message of the panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    keep_quiet();
    EXPECTED.set(EXPECTED.get() + 1);
    let before = OWN.with_borrow(Vec::len);
    let done = catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(EXPECTED.get() - 1);
    done.map_err(|panic| {
        OWN.with_borrow_mut(|own| own.truncate(before));
        message(&*panic).unwrap_or("no message").to_owned()
    })
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied())
}

fn print_kept() {
    let mut stderr = io::stderr().lock();
    for text in kept().drain(..).chain(OWN.take()) {
        // A closed standard error must not make another panic of it.
        let _ = writeln!(stderr, "{text}");
    }
}

/// Installs the hook, once.
pub(crate) fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if EXPECTED.get() > 0 {
                OWN.with_borrow_mut(|own| own.push(described(info)));
            } else if is_of_device() {
                let mut kept = kept();
                if kept.len() < MAX_KEPT {
                    kept.push(described(info));
                }
            } else {
                print_kept();
                print(info);
            }
        }));
    });
}

fn described(info: &PanicHookInfo) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    format!("thread '{name}': {info}\n{}", Backtrace::capture())
}

/// Whether CubeCL made this thread to drive a device; the thread that waits for the result gets the error.
fn is_of_device() -> bool {
    std::thread::current()
        .name()
        .is_some_and(|name| name.starts_with("DSU-") || name.starts_with("DSD-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_panic_is_an_error() {
        let result =
            outcome(|| -> u8 { panic!("full: {}", 7) }, |it| it.contains("full").then_some(1));
        assert_eq!(result, Err(1));
        assert_eq!(outcome(|| 3, |_| Some(())), Ok(3));
    }

    #[test]
    fn a_caught_panic_is_an_error_with_its_message() {
        assert_eq!(caught(|| -> u8 { panic!("row {}", 7) }), Err("row 7".into()));
        assert_eq!(caught(|| 3), Ok(3));
        assert!(OWN.with_borrow(Vec::is_empty));
    }

    #[test]
    #[should_panic(expected = "something else")]
    fn any_other_panic_goes_on() {
        let _ = outcome(|| panic!("something else"), |_| None::<()>);
    }
}
