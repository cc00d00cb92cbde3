//! Runs `tests/golden/*.txt` in process. `MERIDIAN_GOLDEN=rewrite` writes the answers as they are.

use std::path::PathBuf;

use async_trait::async_trait;

use meridian_wire::Fault;

use super::context;
use super::memory::Memory;
use crate::golden::{Answering, Part, differences, parse, render, run, status_of};
use crate::handle;

struct InProcess(Memory);

#[async_trait]
impl Answering for InProcess {
    async fn call(&mut self, target: &str, body: &str) -> (u16, String) {
        let (status, body) = match handle(&self.0, &context(), target, body.as_bytes()).await {
            Ok(body) => (200, body),
            Err(error) => (status_of(error.row().fault), error.body()),
        };
        (status, String::from_utf8(body).expect("answers are JSON"))
    }

    async fn pause(&mut self) -> bool {
        false
    }
}

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of transcripts is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn transcripts() {
    let rewrite = std::env::var("MERIDIAN_GOLDEN").is_ok_and(|how| how == "rewrite");
    let (mut wrong, mut exchanges) = (String::new(), 0);
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let parts = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        exchanges += parts.iter().filter(|part| matches!(part, Part::Exchange(_))).count();
        let mut backend = InProcess(Memory::default());
        let now = run(&parts, &mut backend).await;
        let now = now.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if rewrite {
            std::fs::write(&path, render(&now)).expect("a writable file");
            continue;
        }
        let differences = differences(&parts, &now);
        if !differences.is_empty() {
            wrong += &format!("{}\n{differences}", path.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(exchanges >= 150, "only {exchanges} exchanges were found");
}

/// Damages a text at a few places: removes, repeats, or replaces a character by one that JSON or
/// an expression gives a meaning.
fn damaged(text: &str, seed: &mut u64) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut random = |below: usize| {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).unwrap_or_default() % below.max(1)
    };
    for _ in 0..=random(3) {
        let at = random(chars.len());
        match random(3) {
            _ if chars.is_empty() => {}
            0 => drop(chars.remove(at)),
            1 => chars.insert(at, chars[at]),
            _ => {
                chars[at] =
                    ['"', '{', '[', ']', '}', ':', ',', '0', '-', '#', '(', '\\'][random(12)]
            }
        }
    }
    chars.into_iter().collect()
}

#[tokio::test]
async fn damaged_requests_are_the_clients_fault() {
    let backend = Memory::default();
    let mut seed = 7;
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        for part in parse(&text).expect("a well-formed file") {
            let Part::Exchange(exchange) = part else { continue };
            for _ in 0..20 {
                let body = damaged(&exchange.request, &mut seed);
                let target = exchange.full_target();
                if let Err(error) = handle(&backend, &context(), &target, body.as_bytes()).await {
                    assert_eq!(error.row().fault, Fault::Client, "{target} {body}");
                }
            }
        }
    }
}
