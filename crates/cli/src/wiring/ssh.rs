//! Approvals with SSH keys: `ssh-keygen -Y sign` and `-Y verify`, so agents and hardware keys work.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use untether_model::approval::{NAMESPACE, Signed, Statement};

use crate::args::SignArgs;
use crate::config::{Approver, Config};
use crate::error::CliError;

/// What became of a request to sign.
pub enum Signing {
    /// Signed and verified.
    Signed(Box<Signed>),
    /// The statement was written into a file, to be signed elsewhere; what to do next.
    Written(String),
}

/// Signs a statement, or takes a signature that was made elsewhere; the signature is verified in either case.
///
/// A statement that was written for signing elsewhere is handed in again with its signature: reason and end are the ones that the
/// person signed, everything else must be what would be signed now.
pub fn sign(config: &Config, statement: Statement, args: &SignArgs) -> Result<Signing, CliError> {
    let statement = match (&args.statement, &args.signature) {
        (Some(path), None) => return write(path, &statement),
        (Some(path), Some(_)) => signed_elsewhere(path, statement)?,
        (None, _) => statement,
    };
    let line = statement.line();
    let approver = who(config, args)?;
    let signature = match (&args.signature, &args.key) {
        (Some(path), _) => std::fs::read_to_string(path)
            .map_err(|e| CliError::usage(format!("the signature '{}' cannot be read: {e}", path.display())))?,
        (None, Some(key)) => make(key, &line)?,
        (None, None) => {
            return Err(CliError::usage("no key to sign with")
                .hint("give --key FILE (or --statement FILE to sign elsewhere and --signature FILE afterwards)"));
        }
    };
    let public = public_key(approver)?;
    verify(&approver.name, &public, &line, &signature)?;
    let key = fingerprint(&public)?;
    Ok(Signing::Signed(Box::new(Signed { statement, approver: approver.name.clone(), key, signature })))
}

fn write(path: &Path, statement: &Statement) -> Result<Signing, CliError> {
    let failed = |e: std::io::Error| CliError::failed(format!("the statement cannot be written to '{}': {e}", path.display()));
    std::fs::write(path, statement.line()).map_err(failed)?;
    let file = path.display();
    Ok(Signing::Written(format!(
        "The statement is in {file}. Sign it where the key is: `ssh-keygen -Y sign -n {NAMESPACE} -f KEY {file}`; then run the same \
         command here with --statement {file} --signature {file}.sig."
    )))
}

/// The statement that was signed, if it is about what would be signed now.
fn signed_elsewhere(path: &Path, expected: Statement) -> Result<Statement, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| CliError::usage(format!("the statement '{}' cannot be read: {e}", path.display())))?;
    let found: Statement = serde_json::from_str(&text)
        .map_err(|e| CliError::usage(format!("'{}' is no statement of untether: {e}", path.display())))?;
    let about = Statement { reason: found.reason.clone(), not_after: found.not_after, ..expected };
    if found == about {
        return Ok(found);
    }
    let words = "is about something else than this command, or what it was about has changed";
    Err(CliError::usage(format!("the statement '{}' {words}", path.display()))
        .hint("write it again with --statement FILE, without --signature, and have it signed again"))
}

fn who<'a>(config: &'a Config, args: &SignArgs) -> Result<&'a Approver, CliError> {
    let name = args.approver.as_deref();
    let found = match name {
        Some(name) => config.approvers.iter().find(|a| a.name == name),
        None => match config.approvers.as_slice() {
            [only] => Some(only),
            _ => None,
        },
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = config.approvers.iter().map(|a| a.name.as_str()).collect();
        match name {
            Some(name) => CliError::usage(format!("'{name}' is no configured approver"))
                .hint(format!("configured are: {}", known.join(", "))),
            None => CliError::usage("who approves? Several approvers are configured")
                .hint(format!("give --as with one of: {}", known.join(", "))),
        }
    })
}

fn public_key(approver: &Approver) -> Result<String, CliError> {
    match (&approver.key, &approver.key_file) {
        (Some(key), _) => Ok(key.trim().to_owned()),
        (None, Some(path)) => std::fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|e| {
            CliError::usage(format!("the public key of approver '{}' cannot be read: '{}': {e}", approver.name, path.display()))
        }),
        (None, None) => Err(CliError::usage(format!("approver '{}' has no key", approver.name))),
    }
}

fn make(key: &Path, line: &str) -> Result<String, CliError> {
    let output = keygen(&["-Y", "sign", "-q", "-n", NAMESPACE, "-f", &key.display().to_string()], line)?;
    if output.0 {
        return Ok(output.1);
    }
    Err(CliError::usage(format!("signing with '{}' failed: {}", key.display(), output.2.trim())))
}

/// Checks a signature as anybody can: `ssh-keygen -Y verify -f allowed_signers -I NAME -n untether -s FILE`.
pub fn verify(name: &str, public_key: &str, line: &str, signature: &str) -> Result<(), CliError> {
    let dir = tempfile::tempdir().map_err(|e| CliError::failed(format!("no temporary directory: {e}")))?;
    let write = |file: &str, content: &str| {
        let path = dir.path().join(file);
        std::fs::write(&path, content).map(|()| path).map_err(|e| CliError::failed(format!("temporary file: {e}")))
    };
    // The principal is a pattern to ssh-keygen, so a fixed one stands for the name.
    let signers = write("allowed_signers", &format!("approver namespaces=\"{NAMESPACE}\" {public_key}\n"))?;
    let file = write("signature", signature)?;
    let (signers, file) = (signers.display().to_string(), file.display().to_string());
    let output = keygen(&["-Y", "verify", "-f", &signers, "-I", "approver", "-n", NAMESPACE, "-s", &file], line)?;
    if output.0 {
        return Ok(());
    }
    Err(CliError::usage(format!("the signature is not by the configured key of '{name}': {}", output.2.trim())))
}

fn fingerprint(public_key: &str) -> Result<String, CliError> {
    let output = keygen(&["-l", "-f", "/dev/stdin"], public_key)?;
    let words = output.1.split_whitespace().nth(1).map(str::to_owned);
    words.filter(|_| output.0).ok_or_else(|| CliError::usage(format!("not an SSH public key: {}", output.2.trim())))
}

fn keygen(arguments: &[&str], input: &str) -> Result<(bool, String, String), CliError> {
    let failed = |e: std::io::Error| CliError::failed(format!("ssh-keygen: {e}")).hint("install openssh-client");
    let mut child = Command::new("ssh-keygen")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // ssh-keygen may end before it has read everything; its exit status tells why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}
