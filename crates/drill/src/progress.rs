//! What a drill says on stderr while it runs: a bar on a terminal, lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Progress of a drill.
pub struct Progress {
    bar: ProgressBar,
    prefix: String,
}

impl Progress {
    /// A bar of so many steps.
    pub fn new(steps: u64) -> Progress {
        let bar = ProgressBar::new(steps);
        let style = ProgressStyle::with_template("{spinner} [{elapsed_precise}] {bar:30} {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar, prefix: String::new() }
    }

    /// Begins a part whose steps are told with this name.
    pub fn part(&mut self, name: String) {
        self.prefix = name;
    }

    /// Tells what is being done now, one step further than before.
    pub fn step(&self, what: &str) {
        self.bar.inc(1);
        self.bar.set_message(if self.prefix.is_empty() {
            what.to_owned()
        } else {
            format!("{}: {what}", self.prefix)
        });
    }

    /// Puts steps that were not taken behind.
    pub fn reach(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// Says something that stays.
    pub fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
