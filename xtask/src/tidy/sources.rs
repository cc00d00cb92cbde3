//! Source files: sizes, opening comments, names of modules, unfinished work.

use super::Findings;

/// Lines above which a file is warned about, and needs a reason when it is not a test.
const LINES_WARN: usize = 600;
/// Lines above which a file fails.
const LINES_MAX: usize = 1000;
/// Lines above which a file must say what it is for.
const LINES_UNEXPLAINED_MAX: usize = 100;
/// Names that say nothing.
const VAGUE: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];
/// What finished code does not hold; written in halves, so that this file passes.
const UNFINISHED: [&str; 4] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("db", "g!("),
];

/// Checks one file; `path` is from the root.
pub fn check(path: &str, text: &str, findings: &mut Findings) {
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.fail(format!("{path} has {lines} lines; at most {LINES_MAX}"));
    } else if lines > LINES_WARN {
        findings.warn(format!("{path} has {lines} lines"));
        if !is_test(path) && !text.lines().any(|line| line.starts_with("//! Size:")) {
            let rule = "a production file over 600 lines says why in a line `//! Size: ...`";
            findings.fail(format!("{path}: {rule}"));
        }
    }
    let explains = path.ends_with("/lib.rs") || lines > LINES_UNEXPLAINED_MAX;
    if explains && !text.starts_with("//!") {
        findings.fail(format!("{path} does not open with `//!` and what it is for"));
    }
    for part in path.trim_end_matches(".rs").split('/') {
        if VAGUE.contains(&part) {
            findings.fail(format!("{path}: `{part}` is not the name of a thing"));
        }
    }
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        for word in UNFINISHED.iter().filter(|word| code.contains(**word)) {
            let word = word.trim_end_matches('(');
            findings.fail(format!("{path}:{number} holds `{word}`"));
        }
    }
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| {
        part == "tests" || part == "tests.rs" || part == "testing.rs" || part.ends_with("_tests.rs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> (usize, usize) {
        let mut findings = Findings::default();
        check(path, text, &mut findings);
        (findings.failures.len(), findings.warnings.len())
    }

    fn lines(first: &str, count: usize) -> String {
        format!("{first}\n{}", "x\n".repeat(count - 1))
    }

    #[test]
    fn long_files_need_a_reason() {
        assert_eq!(found("crates/a/src/b.rs", &lines("//! B.", 600)), (0, 0));
        assert_eq!(found("crates/a/src/b.rs", &lines("//! B.", 601)), (1, 1));
        let reason = lines("//! B.\n//! Size: one table.", 700);
        assert_eq!(found("crates/a/src/b.rs", &reason), (0, 1));
        assert_eq!(found("crates/a/src/b/tests.rs", &lines("//! B.", 700)), (0, 1));
        assert_eq!(found("crates/a/src/b/tests.rs", &lines("//! B.", 1001)), (1, 0));
    }

    #[test]
    fn longer_files_say_what_they_are_for() {
        assert_eq!(found("crates/a/src/b.rs", &lines("use x;", 100)), (0, 0));
        assert_eq!(found("crates/a/src/b.rs", &lines("use x;", 101)), (1, 0));
        assert_eq!(found("crates/a/src/lib.rs", "mod b;\n"), (1, 0));
    }

    #[test]
    fn vague_names_fail() {
        assert_eq!(found("crates/a/src/utils.rs", ""), (1, 0));
        assert_eq!(found("crates/a/src/common/b.rs", ""), (1, 0));
        assert_eq!(found("crates/a/src/commonwealth.rs", ""), (0, 0));
    }

    #[test]
    fn unfinished_work_fails() {
        for word in UNFINISHED {
            assert_eq!(found("crates/a/src/b.rs", &format!("fn a() {{ {word}) }}")), (1, 0));
            assert_eq!(found("crates/a/src/b.rs", &format!("// never {word}")), (0, 0));
        }
    }
}
