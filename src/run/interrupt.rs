//! Requests to stop a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(feature = "cli")]
use std::time::Duration;

/// Signals within this time are one request. A scheduler signals every process of a job, and those that
/// have started others pass it on: a process gets the same request several times at once.
#[cfg(feature = "cli")]
pub(crate) const ONE_REQUEST: Duration = Duration::from_secs(1);

/// Whether somebody asked the run to stop.
///
/// The first signal asks: the run stops after the current step or episode, with a checkpoint. One that
/// comes more than a second later ends the process at once.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Whether the run should stop.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Name of the signal that asked.
    pub fn signal(&self) -> &'static str {
        match self.signal.load(Ordering::SeqCst) {
            1 => "SIGHUP",
            2 => "SIGINT",
            15 => "SIGTERM",
            _ => "a request to stop",
        }
    }
}

#[cfg(feature = "cli")]
mod signals {
    use std::io::{self, Write};
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::{flag, low_level};

    use super::{Interrupt, ONE_REQUEST};

    impl Interrupt {
        /// Listens to Ctrl-C (SIGINT), SIGTERM and SIGHUP, and says on standard error that one
        /// came.
        ///
        /// A SIGHUP that the process was told to ignore, as `nohup` does, stays ignored.
        pub fn on_signals() -> io::Result<Self> {
            let interrupt = Self::default();
            let signals = heeded();
            for signal in &signals {
                // In this order: whoever sees the flag knows the signal.
                let number = usize::try_from(*signal).unwrap_or(0);
                flag::register_usize(*signal, interrupt.signal.clone(), number)?;
                flag::register(*signal, interrupt.asked.clone())?;
            }
            let mut received = Signals::new(&signals)?;
            let said = interrupt.clone();
            std::thread::Builder::new().name("signals".into()).spawn(move || {
                let mut first: Option<Instant> = None;
                for signal in received.forever() {
                    match first {
                        None => first = Some(Instant::now()),
                        Some(first) if first.elapsed() < ONE_REQUEST => continue,
                        Some(_) => low_level::exit(130),
                    }
                    let number = usize::try_from(signal).unwrap_or(0);
                    said.signal.store(number, Ordering::SeqCst);
                    let _ = writeln!(
                        io::stderr(),
                        "received {}: stopping after the current step; a later signal ends at \
                         once",
                        said.signal()
                    );
                }
            })?;
            Ok(interrupt)
        }
    }

    #[cfg(unix)]
    fn heeded() -> Vec<i32> {
        use signal_hook::consts::SIGHUP;
        let hangup = Some(SIGHUP).filter(|signal| !is_ignored(*signal));
        [SIGINT, SIGTERM].into_iter().chain(hangup).collect()
    }

    #[cfg(not(unix))]
    fn heeded() -> Vec<i32> {
        vec![SIGINT, SIGTERM]
    }

    #[cfg(unix)]
    fn is_ignored(signal: i32) -> bool {
        // SAFETY: with no new action, `sigaction` only writes the present one to `action`, which is
        // plain data and valid as zeros.
        #[expect(unsafe_code, reason = "the disposition of a signal has only a C interface")]
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut action) == 0
                && action.sa_sigaction == libc::SIG_IGN
        }
    }
}
