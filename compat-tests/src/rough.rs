//! TCP connections that end as connections do in the wild: reset, half closed, left alone.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::wait::DEADLINE;

pub fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Ends the connection with a reset, which also leaves no port behind that waits for late packets.
pub fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).expect("SO_LINGER");
    drop(stream);
}

/// Sends `bytes` and resets. The broker may have closed before: that is no error.
pub fn send_and_reset(address: &str, bytes: &[u8]) -> io::Result<()> {
    let mut stream = connect(address)?;
    let _ = stream.write_all(bytes);
    reset(stream);
    Ok(())
}

/// Sends `bytes` and says that no more comes; returns what the broker answered before it closed.
pub fn send_and_finish(address: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(address)?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    rest(&mut stream)
}

/// All that comes until the broker closes; fails when it does not.
pub fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(answer),
    }
}

/// Bytes that look random and are the same in each run.
pub fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Lets this process open as many files as it is allowed; says how many.
pub fn raise_open_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("a higher limit");
    limit.maximum.unwrap_or(u64::MAX)
}
