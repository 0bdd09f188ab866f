//! What errors of the operating system say about a device.

use std::io;

use rustix::io::Errno;

/// The device, or what stands for it, no longer does what it is told.
const DEVICE_FAILURES: [Errno; 9] = [
    Errno::IO,
    Errno::NXIO,
    Errno::NODEV,
    Errno::NOMEDIUM,
    Errno::REMOTEIO,
    Errno::STALE,
    Errno::TIMEDOUT,
    Errno::BADMSG,
    // The file system is damaged (EUCLEAN).
    Errno::UCLEAN,
];

/// Whether nothing more is to be expected of the device. A disk that is full or read-only is none of that, nor a file that
/// is absent or holds what it should not.
pub fn is_device_failure(error: &io::Error) -> bool {
    is_one_of(error, &DEVICE_FAILURES)
}

/// Whether the process (EMFILE) or the system (ENFILE) has no descriptor left.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    is_one_of(error, &[Errno::MFILE, Errno::NFILE])
}

fn is_one_of(error: &io::Error, errnos: &[Errno]) -> bool {
    error.raw_os_error().is_some_and(|found| errnos.iter().any(|errno| errno.raw_os_error() == found))
}
