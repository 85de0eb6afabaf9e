//! What the environment asks for, read once.

use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;

pub struct Switches {
    pub memory: u64,
    pub context: u64,
    pub sm: i32,
    pub driver: i32,
    pub log: Option<PathBuf>,
    pub trace: Option<PathBuf>,
    pub ptx: Option<PathBuf>,
    pub fail_launch: Option<u64>,
    pub fail_code: i32,
}

pub fn switches() -> &'static Switches {
    static SWITCHES: OnceLock<Switches> = OnceLock::new();
    SWITCHES.get_or_init(|| Switches {
        memory: number("MEMORY").unwrap_or(24 << 30),
        context: number("CONTEXT").unwrap_or(512 << 20),
        sm: number("SM").unwrap_or(90) as i32,
        driver: number("DRIVER").unwrap_or(12080) as i32,
        log: path("LOG"),
        trace: path("TRACE"),
        ptx: path("PTX"),
        fail_launch: number("FAIL_LAUNCH"),
        fail_code: number("FAIL_CODE").map_or(crate::ILLEGAL_ADDRESS, |code| code as i32),
    })
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(format!("STAND_IN_CUDA_{name}")).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("STAND_IN_CUDA_{name}={text} is not a number")))
}

fn path(name: &str) -> Option<PathBuf> {
    env::var_os(format!("STAND_IN_CUDA_{name}")).map(PathBuf::from)
}
