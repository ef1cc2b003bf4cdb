//! The client: asks on many connections, as fast as it is answered or at a pace.

use std::{error::Error, fmt, str::FromStr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::process::say;

const CONNECTIONS: u64 = 32;
const REQUEST: &[u8] = b"GET /items/42 HTTP/1.1\r\nhost: load.test\r\nuser-agent: load\r\n\r\n";

/// How it was answered.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    /// Microseconds; at a pace from when it was to ask, so that to be kept waiting counts.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// `pace` is requests a second in all; 0 is as fast as it goes.
pub(crate) fn run(address: &str, duration: Duration, pace: u64) -> Result<(), Box<dyn Error>> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let start = Instant::now();
        let end = start + duration;
        let mut connections = JoinSet::new();
        for number in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let every = match pace {
                0 => None,
                _ => Some(Duration::from_secs_f64(CONNECTIONS as f64 / pace as f64)),
            };
            // Not all at the same moment.
            let first =
                start + every.unwrap_or_default().mul_f64(number as f64 / CONNECTIONS as f64);
            connections.spawn(ask(stream, first, every, end));
        }
        let mut micros = Vec::new();
        while let Some(connection) = connections.join_next().await {
            micros.extend(connection??);
        }
        let per_second = micros.len() as f64 / start.elapsed().as_secs_f64();
        micros.sort_unstable();
        let at = |share: f64| {
            let at = (micros.len() as f64 * share) as usize;
            f64::from(micros.get(at).copied().unwrap_or_default())
        };
        say(Load { per_second, p50: at(0.5), p99: at(0.99) })?;
        Ok(())
    })
}

async fn ask(
    mut stream: TcpStream,
    mut due: Instant,
    every: Option<Duration>,
    end: Instant,
) -> std::io::Result<Vec<u32>> {
    let mut micros = Vec::new();
    let mut answer = vec![0; 1024];
    // All answers are as long as the first.
    let mut length = None;
    loop {
        match every {
            Some(every) => {
                sleep_until(due).await;
                due += every;
            }
            None => due = Instant::now(),
        }
        let asked = every.map_or(due, |every| due - every);
        if Instant::now() >= end {
            return Ok(micros);
        }
        stream.write_all(REQUEST).await?;
        let mut read = 0;
        while length.is_none_or(|length| read < length) {
            let more = stream.read(&mut answer[read..]).await?;
            if more == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            read += more;
            if length.is_none() && answer[..read].ends_with(b"\r\n\r\n42") {
                length = Some(read);
            }
        }
        micros.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.per_second, self.p50, self.p99)
    }
}

impl FromStr for Load {
    type Err = Box<dyn Error>;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let [per_second, p50, p99] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("not what a client says: {line}").into());
        };
        Ok(Self { per_second: per_second.parse()?, p50: p50.parse()?, p99: p99.parse()? })
    }
}
