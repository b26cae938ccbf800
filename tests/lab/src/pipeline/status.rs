//! The status display while the steps run: one line on a terminal, which is redrawn; otherwise nothing.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::time::Duration;

/// Default number of columns if the terminal does not report one.
const USUAL_COLUMNS: usize = 80;

/// The status line.
#[derive(Debug)]
pub struct StatusLine {
    on_terminal: bool,
}

impl StatusLine {
    /// Detects whether there is a terminal.
    pub fn new() -> Self {
        Self { on_terminal: stdout().is_terminal() }
    }

    /// Prints a permanent line.
    pub fn print(&self, line: &str) {
        self.clear();
        println!("{line}");
    }

    /// Draws the status line.
    pub fn draw(&self, text: &str) {
        if self.on_terminal {
            let columns =
                rustix::termios::tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_col));
            let columns = if columns == 0 { USUAL_COLUMNS } else { columns };
            let cut: String = text.chars().take(columns.saturating_sub(1)).collect();
            print!("\r\x1b[K{cut}");
            let _ = stdout().flush();
        }
    }

    /// Removes the status line.
    pub fn clear(&self) {
        if self.on_terminal {
            print!("\r\x1b[K");
            let _ = stdout().flush();
        }
    }
}

impl Default for StatusLine {
    fn default() -> Self {
        Self::new()
    }
}

/// `3.2 s`, `47 s`, `4 min 10 s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_no_more_digits_than_anybody_reads() {
        let text = |milliseconds| duration(Duration::from_millis(milliseconds));
        assert_eq!(text(3_240), "3.2 s");
        assert_eq!(text(47_900), "47 s");
        assert_eq!(text(250_000), "4 min 10 s");
    }
}
