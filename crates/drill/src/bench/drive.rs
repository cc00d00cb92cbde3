//! The clients of a bench, all on one thread.
//!
//! # Invariants
//!
//! - At most one request is under way on a connection; a connection with an error is replaced.
//!
//! Tested by `bench/tests.rs`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::request::{Parsed, Template, parse};
use super::{BenchArgs, Measured, Operation, intended_rate, table_name};
use crate::http::authority;

/// Longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;
/// How long answers are waited for after the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// First size of a receive buffer, in bytes; it grows with the answers.
const BUFFER_BYTES: usize = 16 * 1024;

type Shared = Rc<RefCell<Measured>>;

/// Runs all clients to the end on the calling thread.
pub(super) fn run(args: &BenchArgs) -> anyhow::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = Measured {
        latencies: Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS)?,
        errors: 0,
        first_error: None,
        span: Duration::ZERO,
    };
    let shared: Shared = Rc::new(RefCell::new(measured));
    let authority = authority(&args.endpoint)?;
    let local = LocalSet::new();
    let began = Instant::now();
    for number in 0..args.clients {
        let client = BenchClient::new(args, &authority, number, shared.clone());
        local.spawn_local(client.run(Schedule::new(args, began, number)));
    }
    runtime.block_on(async {
        // Clients end by themselves; only those that wait for an answer are cut off.
        let _ = tokio::time::timeout(args.duration + LAST_ANSWERS, local).await;
    });
    let mut measured = shared.replace(Measured {
        latencies: Histogram::new(LATENCY_DIGITS)?,
        errors: 0,
        first_error: None,
        span: Duration::ZERO,
    });
    measured.span = measured.span.max(Duration::from_millis(1));
    Ok(measured)
}

/// When a client begins its requests.
struct Schedule {
    began: Instant,
    end: Instant,
    /// Absent in the closed loop.
    period: Option<Duration>,
    shift: Duration,
}

impl Schedule {
    fn new(args: &BenchArgs, began: Instant, number: u32) -> Schedule {
        let clients = f64::from(args.clients);
        let period = Duration::from_secs_f64(clients / intended_rate(args));
        let shift = period.mul_f64(f64::from(number) / clients);
        let period = (!args.closed).then_some(period);
        Schedule { began, end: began + args.duration, period, shift }
    }

    /// The intended start of a request; absent when the bench is over.
    fn next(&self, call: u32) -> Option<Instant> {
        let next = match self.period {
            Some(period) => self.began + self.shift + period.mul_f64(f64::from(call)),
            None => Instant::now(),
        };
        (next < self.end).then_some(next)
    }
}

struct BenchClient {
    authority: String,
    templates: Vec<Template>,
    keys: u32,
    random: SmallRng,
    shared: Shared,
    began: Instant,
}

impl BenchClient {
    fn new(args: &BenchArgs, authority: &str, number: u32, shared: Shared) -> BenchClient {
        let table = table_name(args);
        let put = || Template::put(authority, &table, args.item_bytes);
        let get = || Template::get(authority, &table, !args.eventual);
        let templates = match args.op {
            Operation::Put => vec![put()],
            Operation::Get => vec![get()],
            Operation::Mixed => vec![put(), get()],
            Operation::Query => vec![Template::query(authority, &table, !args.eventual)],
        };
        BenchClient {
            authority: authority.to_owned(),
            templates,
            keys: args.keys,
            random: SmallRng::seed_from_u64(u64::from(number)),
            shared,
            began: Instant::now(),
        }
    }

    async fn run(mut self, schedule: Schedule) {
        let mut connection: Option<TcpStream> = None;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        let mut call = 0;
        while let Some(intended) = schedule.next(call) {
            if schedule.period.is_some() {
                sleep_until(intended).await;
            }
            let outcome = self.call(&mut connection, &mut buffer, call).await;
            self.note(intended, outcome);
            if connection.is_none() {
                sleep(RECONNECT_PAUSE).await;
            }
            call += 1;
        }
    }

    fn note(&self, intended: Instant, outcome: Result<(), String>) {
        let now = Instant::now();
        let mut shared = self.shared.borrow_mut();
        shared.span = shared.span.max(now - self.began);
        match outcome {
            Ok(()) => {
                let micros = u64::try_from((now - intended).as_micros()).unwrap_or(LATENCY_US_MAX);
                shared.latencies.saturating_record(micros.max(1));
            }
            Err(error) => {
                shared.errors += 1;
                shared.first_error.get_or_insert(error);
            }
        }
    }

    /// One request and its answer. After an error the connection is gone unless it is still good.
    async fn call(
        &mut self,
        kept: &mut Option<TcpStream>,
        buffer: &mut Vec<u8>,
        call: u32,
    ) -> Result<(), String> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.connect().await.map_err(|error| error.to_string())?,
        };
        let key = self.random.random_range(0..self.keys);
        let turn = usize::try_from(call).unwrap_or(0) % self.templates.len();
        let request = self.templates[turn].with_key(key);
        connection.write_all(request).await.map_err(|error| error.to_string())?;
        buffer.clear();
        let status = loop {
            let count = connection.read_buf(buffer).await.map_err(|error| error.to_string())?;
            if count == 0 {
                return Err("the connection was closed".to_owned());
            }
            match parse(buffer) {
                Parsed::Head { status, bytes } if buffer.len() >= bytes => break status,
                Parsed::Head { .. } | Parsed::More => {}
                Parsed::Bad => return Err("an answer that is no HTTP with a length".to_owned()),
            }
        };
        *kept = Some(connection);
        if status == 200 { Ok(()) } else { Err(String::from_utf8_lossy(buffer).into_owned()) }
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let connection = TcpStream::connect(&self.authority).await?;
        connection.set_nodelay(true)?;
        Ok(connection)
    }
}
