//! Linux namespaces: own network with a loopback of its own, own `/tmp`, own process ids.

use super::Role;
use crate::args::Args;
use crate::leftovers;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
};
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Tells the second process that it is inside.
const INSIDE: &str = "--inside-namespaces";

const TMP: &str = "/tmp";

/// Switches of the system that forbid it to ordinary users, and the value that does.
const FORBIDS: [(&str, &str); 3] = [
    ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
    ("/proc/sys/user/max_user_namespaces", "0"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
];

/// The first process leaves the host's namespaces and waits for the second; that one settles in.
pub(super) fn enter(args: &Args) -> Result<Role> {
    if args.inside_namespaces {
        settle(args)?;
        return Ok(Role::Agent);
    }
    leftovers::make_folder(&args.temp)?;
    leave().map_err(|error| forbidden("leave the host's namespaces", error))?;
    let program = std::env::current_exe().map_err(|error| failed("find the agent's own program", &error))?;
    let mut agent = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg(INSIDE)
        .spawn()
        .map_err(|error| failed("start the agent in its namespaces", &error))?;
    let status = agent.wait().map_err(|error| failed("wait for the agent in its namespaces", &error))?;
    // Seen from here its folder holds no mounts, so that removing it can reach nothing else.
    // It fails when it was never made.
    let _ = fs::remove_dir(stage(args));
    leftovers::remove_folder(&args.temp);
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(Role::Ended(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))))
}

/// What this process starts from now on is elsewhere.
fn leave() -> nix::Result<()> {
    let wanted = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID;
    if geteuid().is_root() && unshare(wanted).is_ok() {
        return Ok(());
    }
    let (user, group) = (geteuid(), getegid());
    unshare(wanted | CloneFlags::CLONE_NEWUSER)?;
    // The same user as outside, so that files belong to whom they did. (user_namespaces(7))
    let write = |name: &str, text: String| {
        fs::write(Path::new("/proc/self").join(name), text)
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{user} {user} 1"))?;
    write("gid_map", format!("{group} {group} 1"))
}

/// Makes the new namespaces habitable.
fn settle(args: &Args) -> Result<()> {
    // Everything in here ends with this process, and this one with the first.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| forbidden("end with its first process", error))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| forbidden("have mounts of its own", error))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(|error| forbidden("keep its mounts to itself", error))?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), plain, None::<&str>)
        .map_err(|error| forbidden("see its own processes", error))?;
    own_tmp(args)?;
    loopback_up().map_err(|error| forbidden("use its own loopback", error))
}

/// An empty `/tmp` in memory, in which only the folders are that the worker needs and that lie there.
fn own_tmp(args: &Args) -> Result<()> {
    let needed = topmost(args.roots.iter().map(|(_, dir)| dir.clone()).chain([
        args.temp.clone(),
        parent(&args.bundle),
        own_program(),
    ]));
    // Made elsewhere first: once it is there, it hides what is below.
    let stage = stage(args);
    fs::create_dir_all(&stage).map_err(|error| failed("make a folder", &error))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), &stage, Some("tmpfs"), flags, Some("mode=1777"))
        .map_err(|error| forbidden("have a /tmp of its own", error))?;
    for dir in needed {
        let Ok(below) = dir.strip_prefix(TMP) else { continue };
        let place = stage.join(below);
        fs::create_dir_all(&place).map_err(|error| failed("make folders in its own /tmp", &error))?;
        mount(Some(&dir), &place, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .map_err(|error| forbidden(&format!("keep {} in its own /tmp", dir.display()), error))?;
    }
    mount(Some(&stage), TMP, None::<&str>, MsFlags::MS_MOVE, None::<&str>)
        .map_err(|error| forbidden("have a /tmp of its own", error))
}

/// Beside the worker's folder, which is to be seen in there.
fn stage(args: &Args) -> PathBuf {
    args.temp.with_extension("tmp")
}

/// Folders that are in none of the others; one that is not there is left out.
fn topmost(dirs: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut all: Vec<_> = dirs.filter_map(|dir| fs::canonicalize(dir).ok()).filter(|dir| dir.is_dir()).collect();
    all.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for dir in all {
        if !kept.iter().any(|above| dir.starts_with(above)) {
            kept.push(dir);
        }
    }
    kept
}

fn parent(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

fn own_program() -> PathBuf {
    std::env::current_exe().map(|program| parent(&program)).unwrap_or_default()
}

/// Sets the loopback device, the first of every network namespace, up: one RTM_NEWLINK message of rtnetlink(7).
fn loopback_up() -> nix::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    const LOOPBACK: i32 = 1;
    const NLMSG_ERROR: u16 = 2;
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend_from_slice(&[0; 8]); // sequence number, port
    message.extend_from_slice(&[0; 4]); // family, padding, type
    message.extend_from_slice(&LOOPBACK.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes()); // flags
    message.extend_from_slice(&IFF_UP.to_ne_bytes()); // which of them change
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    bind(kernel.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    sendto(kernel.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 256];
    let length = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if length < 20 || kind != NLMSG_ERROR {
        return Err(Errno::EPROTO);
    }
    // Zero is the acknowledgement.
    if code == 0 { Ok(()) } else { Err(Errno::from_raw(-code)) }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::WorkerBroken, format!("failed to isolate a worker: it could not {what}"))
        .cause(error)
        .hint("choose testfleet { isolation = 'directory' }")
}

fn forbidden(what: &str, error: Errno) -> Failure {
    let failure = failed(what, &error.into());
    let told = FORBIDS.iter().find_map(|(switch, value)| {
        let found = fs::read_to_string(switch).ok()?;
        (found.trim() == *value).then(|| format!("this system forbids it to ordinary users: {switch} is {value}"))
    });
    told.into_iter().fold(failure, Failure::cause_text).hint(
        "choose testfleet { isolation = 'directory' }; or let the system allow user namespaces, in a container also \
         mounts (CAP_SYS_ADMIN and a /proc without masks)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_in_others_need_no_place_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let dir = root.path().join(name);
            fs::create_dir_all(&dir).unwrap();
            dir
        };
        let all = [dir("a/b"), dir("a"), dir("ab"), dir("c/d"), root.path().join("gone")];
        let expected: Vec<_> = ["a", "ab", "c/d"].map(|name| fs::canonicalize(root.path().join(name)).unwrap()).into();
        assert_eq!(topmost(all.into_iter()), expected);
    }
}
