//! The process of a cell: `fsct run`, started so that it ends with the process that started it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::cell_folder::CellFolder;

/// Variables that a cell's process keeps although they begin like those that set keys.
const KEPT: [&str; 1] = ["FSCT_CACHE"];

/// How the processes of cells are started.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// Path of the `fsct` program.
    pub program: &'a Path,
    /// Threads of each process.
    pub threads: usize,
    /// The GPU that it sees, where it is to see one alone.
    pub visible: Option<&'a str>,
}

/// Starts the process of a cell. It resumes the newest run that has a checkpoint. Returns whether it
/// does.
///
/// # Errors
/// The program cannot be started, or the folder cannot be written.
pub fn start(cell: &CellFolder, launch: &Launch, lock: Option<File>) -> io::Result<(Child, bool)> {
    let resumable = cell.resumable();
    let mut command = Command::new(launch.program);
    command.arg("run");
    match &resumable {
        Some(run) => {
            command.arg("--resume").arg(run.path());
        }
        None => {
            cell.remove_unfinished()?;
            command.arg(cell.pipeline()).arg("--runs").arg(cell.runs());
        }
    }
    if let Some(goal) = cell.goal() {
        for set in [("train.epochs", goal.epochs), ("test.episodes", goal.test_episodes)] {
            command.arg("--set").arg(format!("{}={}", set.0, set.1));
        }
    }
    // The pipeline is resolved: what the planning process had in its environment is in it already.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("FSCT_") && !KEPT.contains(&&*name) {
            command.env_remove(&*name);
        }
    }
    command.env("RAYON_NUM_THREADS", launch.threads.to_string());
    if let Some(gpu) = launch.visible {
        command.env("CUDA_VISIBLE_DEVICES", gpu);
    }
    let log = OpenOptions::new().create(true).append(true).open(cell.log())?;
    // The lock is held by every process that has the file open, so the child holds it too.
    command.stdin(lock.map_or_else(Stdio::null, Stdio::from));
    command.stdout(log.try_clone()?).stderr(log);
    tie(&mut command);
    command.spawn().map(|child| (child, resumable.is_some()))
}

/// Ctrl-C of the terminal reaches the starting process alone, which passes it on once; and the child is
/// told to stop when that process dies.
#[cfg(unix)]
fn tie(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        let ask = move || {
            // SAFETY: both are plain system calls, which may be made between fork and exec.
            let (set, now) =
                unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM), libc::getppid()) };
            match set {
                0 if now.unsigned_abs() == parent => Ok(()),
                0 => Err(io::Error::other("the starting process has ended")),
                _ => Err(io::Error::last_os_error()),
            }
        };
        #[expect(unsafe_code, reason = "what a child does before it starts has no safe interface")]
        // SAFETY: the closure allocates nothing on the way that succeeds, and takes no lock.
        unsafe {
            command.pre_exec(ask);
        }
    }
}

#[cfg(not(unix))]
fn tie(_: &mut Command) {}

/// Asks a process to stop with a checkpoint.
#[cfg(unix)]
pub fn ask_to_stop(child: &Child) {
    let Ok(process) = libc::pid_t::try_from(child.id()) else { return };
    // SAFETY: the process is a child that has not been waited for, so its number is still its own.
    #[expect(unsafe_code, reason = "a signal has only a C interface")]
    unsafe {
        libc::kill(process, libc::SIGTERM);
    }
}

/// Asks a process to stop: there is no way to ask here, so it is ended.
#[cfg(not(unix))]
pub fn ask_to_stop(_: &Child) {}
