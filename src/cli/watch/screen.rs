//! The terminal that shows a run until a key ends it.

use std::io::{self, Stdout};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::event::{
    self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use ratatui_crossterm::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui_crossterm::crossterm::{cursor, execute};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::Error;
use crate::error::Failure;
use crate::report::live::{View, Watched};
use crate::report::terminal::has_colours;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often the view is drawn where nothing came: it says how long a run has been silent.
const REDRAW: Duration = Duration::from_secs(1);
/// How long the view has to end after a signal. Where its terminal is gone, crossterm's read does not come back.
const GRACE: Duration = Duration::from_secs(1);

/// Shows a run until a key or a signal ends it.
///
/// # Errors
/// The terminal cannot be written, or a signal ended it.
pub(super) fn show(run: &mut Watched) -> Result<(), Error> {
    let asked = on_signals()?;
    let mut screen = Screen::open().map_err(Error::Stdout)?;
    let ended = follow(&mut screen.terminal, run, &asked).map_err(Error::Stdout);
    drop(screen);
    match ended? {
        End::Key => Ok(()),
        End::Signal => {
            Err(Error::Interrupted(Failure::new("a signal ended the view; the run goes on")))
        }
    }
}

/// Why a view ended.
enum End {
    Key,
    Signal,
}

fn follow(
    terminal: &mut Terminal<CrosstermBackend<Stdout>>,
    run: &mut Watched,
    asked: &AtomicBool,
) -> io::Result<End> {
    let colours = has_colours(&io::stdout());
    let (mut looked, mut drawn) = (Instant::now(), None::<Instant>);
    loop {
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            if run.update() {
                drawn = None;
            }
        }
        if drawn.is_none_or(|it| it.elapsed() >= REDRAW) {
            let hint = if run.is_finished() { "q quits" } else { "q quits; the run goes on" };
            let view = View { run, now: SystemTime::now(), colours, hint: Some(hint) };
            terminal.draw(|frame| frame.render_widget(view, frame.area()))?;
            drawn = Some(Instant::now());
        }
        if asked.load(Ordering::SeqCst) {
            return Ok(End::Signal);
        }
        // A signal interrupts the wait.
        let is_input = match event::poll(LOOK.saturating_sub(looked.elapsed())) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            other => other?,
        };
        if is_input {
            match event::read()? {
                Event::Key(key) if ends(key) => return Ok(End::Key),
                Event::Resize(..) => drawn = None,
                _ => {}
            }
        }
    }
}

/// Whether a key ends the view: q, Esc or Ctrl-C.
fn ends(key: KeyEvent) -> bool {
    let is_down = key.kind != KeyEventKind::Release;
    is_down
        && match key.code {
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
            KeyCode::Char('c' | 'C') => key.modifiers.contains(KeyModifiers::CONTROL),
            _ => false,
        }
}

/// A flag that a signal raises.
fn on_signals() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    let heard = asked.clone();
    let mut received = Signals::new(signals())?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if received.forever().next().is_some() {
            heard.store(true, Ordering::SeqCst);
            thread::sleep(GRACE);
            let _ = disable_raw_mode();
            low_level::exit(130);
        }
    })?;
    Ok(asked)
}

#[cfg(unix)]
fn signals() -> Vec<i32> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    vec![SIGHUP, SIGINT, SIGTERM]
}

#[cfg(not(unix))]
fn signals() -> Vec<i32> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    vec![SIGINT, SIGTERM]
}

/// The terminal while the view has it: another screen than the shell's, keys one by one. Dropped, it is as before.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn open() -> io::Result<Self> {
        // The message of a panic is for the shell's screen.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            close();
            hook(panic);
        }));
        enable_raw_mode()?;
        let opened = execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match opened {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                close();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        close();
    }
}

fn close() {
    // There is nobody to tell where that fails.
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_keys_end_the_view() {
        let key = |code, modifiers| KeyEvent::new(code, modifiers);
        let none = KeyModifiers::NONE;
        assert!(ends(key(KeyCode::Char('q'), none)) && ends(key(KeyCode::Esc, none)));
        assert!(ends(key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!ends(key(KeyCode::Char('c'), none)) && !ends(key(KeyCode::Enter, none)));
    }
}
