//! The threads that compute: rayon's global pool, with as many as the system starts.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rayon::{ThreadBuilder, ThreadPoolBuilder};

/// A thread that waits for its place in a pool. Dropped, the thread ends.
type Waiting = Sender<ThreadBuilder>;

/// Starts the global pool: a thread per core, or `RAYON_NUM_THREADS`.
///
/// Rayon itself panics where the system refuses a thread (`ulimit -u`, `ulimit -v`). The threads are
/// therefore started first, and the pool has as many as there are; without any, the calling thread
/// computes alone. Results do not depend on the number.
pub fn start() {
    let waiting = threads(wanted(), |number, work| {
        thread::Builder::new().name(format!("worker-{number}")).spawn(work).map(drop)
    });
    // An error means that a program that embeds the command line has a pool already.
    let _ = with_pool(waiting, |pool, seat| pool.spawn_handler(seat).build_global());
}

fn wanted() -> usize {
    let named = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    named.filter(|count| *count > 0).unwrap_or_else(cores)
}

/// Starts threads, up to the first that is refused.
fn threads(
    wanted: usize,
    mut spawn: impl FnMut(usize, Box<dyn FnOnce() + Send>) -> io::Result<()>,
) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    for number in 0..wanted {
        let (give, take) = channel::<ThreadBuilder>();
        let work = move || {
            if let Ok(thread) = take.recv() {
                thread.run();
            }
        };
        if spawn(number, Box::new(work)).is_err() {
            break;
        }
        waiting.push(give);
    }
    waiting
}

/// A pool of these threads, and what gives each its place in it.
fn with_pool<T>(
    mut waiting: Vec<Waiting>,
    build: impl FnOnce(ThreadPoolBuilder, &mut dyn FnMut(ThreadBuilder) -> io::Result<()>) -> T,
) -> T {
    let pool = if waiting.is_empty() {
        ThreadPoolBuilder::new().num_threads(1).use_current_thread()
    } else {
        ThreadPoolBuilder::new().num_threads(waiting.len())
    };
    build(pool, &mut |thread| {
        let next = waiting.pop().ok_or(io::ErrorKind::WouldBlock)?;
        next.send(thread).map_err(|_| io::ErrorKind::WouldBlock.into())
    })
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// Threads of a pool where the system starts `allowed` of 4, and a sum that it computes.
    fn sum(allowed: usize) -> (usize, u64) {
        let waiting = threads(4, |number, work| {
            if number == allowed {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            thread::Builder::new().spawn(work).map(drop)
        });
        let pool = with_pool(waiting, |pool, seat| pool.spawn_handler(seat).build());
        let pool = pool.unwrap_or_else(|error| panic!("{error}"));
        let sum = pool.install(|| (0..10_000_u64).into_par_iter().sum());
        (pool.current_num_threads(), sum)
    }

    #[test]
    fn a_pool_has_the_threads_that_the_system_starts() {
        for (allowed, threads) in [(4, 4), (2, 2), (1, 1), (0, 1)] {
            // In a thread of its own: it becomes the pool's where no other is started.
            let (count, sum) = thread::scope(|scope| scope.spawn(|| sum(allowed)).join())
                .unwrap_or_else(|_| panic!("{allowed} threads"));
            assert_eq!((count, sum), (threads, 49_995_000), "{allowed} of 4");
        }
    }
}
