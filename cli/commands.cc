// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <algorithm>

#include "cli/credential.h"
#include "cli/exit.h"
#include "cli/password.h"
#include "cli/recovery_sheet.h"

namespace tain::cli {
namespace {

const Option kJson = {"json", 0, "", "print the result as JSON"};
const Option kHelp = {"help", 'h', "", "print this help"};

std::vector<Option> join(std::initializer_list<std::vector<Option>> lists) {
  std::vector<Option> out;
  for (const auto& list : lists) out.insert(out.end(), list.begin(), list.end());
  out.push_back(kHelp);
  return out;
}

constexpr std::string_view kPasswordText =
    "The password comes from one of the options; else from TAIN_PASSFILE or TAIN_PASSCMD; else from the systemd\n"
    "credential tain.password; else from the terminal; else from a line of standard input. A keyfile may also come from\n"
    "TAIN_KEYFILE or the credential tain.keyfile. Recovery words may be given in the place of a password, in any case\n"
    "and cut to their first four letters; with --recovery a wrong word is named. --tpm2 asks /dev/tpmrm0, or the TPM that\n"
    "TAIN_TPM2_TCTI names as tpm2-tss does.\n";

constexpr std::string_view kVersionText =
    "VERSION: a number as tain log shows it, -1 for the one before the present, or a time, such as 2026-11-01,\n"
    "2026-11-01T10:00, yesterday or '3h ago': the version that was there at its end. An entry whose own name is\n"
    "PATH@VERSION comes first; PATH@@VERSION is then the version. What is in the trash is found, too, if nothing else has\n"
    "its path, or had it at that time; of several, what was removed last.\n";

std::string left_column(const Option& option) {
  std::string text = option.letter != 0 ? std::string("  -") + option.letter + ", --" : "      --";
  text += option.name;
  if (!option.value.empty()) text += " " + std::string(option.value);
  return text;
}

void print_row(World& world, const Command& command) {
  std::string name(command.name);
  name.resize(std::max(name.size(), size_t{15}), ' ');
  world.out << "  " << name << command.summary << '\n';
}

Result<> print_group(World& world, const std::string& first) {
  world.out << "usage: tain " << first << " COMMAND [ARGUMENTS]\n\n";
  for (const Command* command : command_group(first)) print_row(world, *command);
  return flush_output(world);
}

Result<> dispatch(World& world, const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    print_overview(world);
    return flush_output(world);
  }
  const Spoken spoken = find_spoken(words);
  const Command* command = spoken.command;
  if (command == nullptr) {
    if (words.size() == 2 && words[1] == "--help" && !command_group(words[0]).empty()) return print_group(world, words[0]);
    return unknown_command(spoken.name);
  }
  auto arguments = Arguments::parse(command->options, {words.begin() + static_cast<ptrdiff_t>(spoken.words), words.end()});
  if (!arguments.ok()) {
    Error error = std::move(arguments).error();
    if (!error.hint().empty()) return error;
    return std::move(error).hint("tain " + std::string(command->name) + " --help");
  }
  if (arguments->has("help")) {
    print_help(world, *command);
    return flush_output(world);
  }
  const size_t given = arguments->positional().size();
  if (given < command->positional_min || given > command->positional_max) {
    return Error(Code::usage, std::string(given < command->positional_min ? "too few" : "too many") + " arguments")
        .hint("usage: tain " + std::string(command->name) + " " + std::string(command->synopsis));
  }
  TRY(command->run(world, *arguments));
  return flush_output(world);
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Option> kdf_time = {
      {"kdf-time", 0, "SECONDS", "how long checking the password shall take here (default 1; 0: the least that is safe)"}};
  static const std::vector<Command> table = {
      {"init", {}, "DIR", 1, 1, "make a vault in a new or empty directory",
       "Without --cipher, AES-256-GCM is used where the processor has it, else XChaCha20-Poly1305.\n"
       "Recovery words are shown once; a terminal then asks for some of them. Without a terminal they are printed.\n",
       join({{{"cipher", 0, "NAME", "aes-256-gcm or xchacha20-poly1305"}}, kdf_time, password_options(),
             {{"keyfile", 0, "FILE", "the vault shall need this file besides the password; made if it is not there"},
              {"recovery", 0, "", "make recovery words too, which open the vault without the password"},
              sheet_option()},
             {kJson}}), cmd_init},
      {"mount", {}, "VAULT MOUNTPOINT", 2, 2, "unlock a vault and mount it",
       "Returns as soon as the mount is usable. A missing mountpoint is made, and removed again after the unmount;\n"
       "an existing one must be empty. While the vault is not mounted, the mountpoint refuses writes, so that nothing\n"
       "lands there in clear; tain unmount --release takes that off.\n"
       "Mount options: ro, rw, at=TIME, allow_other, allow_root, noatime, noexec, acl, noacl, history, nohistory, idle=TIME,\n"
       "lock_on_suspend, lock_on_screen, unconfined, scrub_rate=RATE, scrub_after=TIME; of mount.tain only: passfile=FILE, keyfile=FILE,\n"
       "tpm2, keyring, fido2.\n"
       "What is overwritten or removed is kept; with nohistory only what has a past already is, and nothing new.\n"
       "POSIX ACLs are on where other users may be let in or the vault has some; acl and noacl say otherwise.\n"
       "nosuid and nodev are always on; what is meant for mount(8), systemd or a desktop is ignored.\n",
       join({{{"foreground", 'f', "", "stay in the foreground; Ctrl-C unmounts"},
              {"options", 'o', "OPTIONS", "mount options, separated by commas", true},
              {"ro", 0, "", "mount read-only"},
              {"at", 0, "TIME", "mount the vault as it was then, read-only: 2026-11-01, 2026-11-01T10:00, '3h ago', …"},
              {"allow-other", 0, "", "let other users in, as far as the files' permissions go"},
              {"idle", 0, "TIME", "unmount after that long without use, e.g. 15m; not while a file is open"},
              {"lock-on-suspend", 0, "", "unmount before the machine sleeps; programs that use the mount are cut off"},
              {"lock-on-screen", 0, "", "unmount when the session is locked; programs that use it are cut off"},
              {"scrub-rate", 0, "RATE", "bytes a second of reading all data in the background: 4M if not given, or off"},
              {"scrub-after", 0, "TIME", "begin that long after the mount (default 5m), if 30 days have passed"},
              {"unconfined", 0, "", "let the serving process reach more than its vault, for debuggers"}},
             key_options(),
             {kJson}}),
       cmd_mount},
      {"unmount", {"umount", "lock"}, "MOUNTPOINT|VAULT", 1, 1, "store everything, unmount, and wait until the keys are gone",
       "A busy mount stays, and the programs that use it are named; with --force it goes, and they lose what they\n"
       "have not written yet. --release also makes the bare mountpoint writable again (see tain mount --help), so\n"
       "that it can be used for something else or removed.\n",
       join({{{"force", 0, "", "unmount although programs use it, and name those that were cut off"},
              {"release", 0, "", "take the write protection off the bare mountpoint"}}}),
       cmd_unmount},
      {"status", {}, "[VAULT|MOUNTPOINT]", 0, 1, "show the state of a vault, or of all that are mounted",
       "Needs no password. Of a vault that is not mounted, only what its header says is known.\n"
       "With --json: an object for one vault, an array of them without an argument.\n",
       join({{kJson}}), cmd_status},
      {"list", {}, "", 0, 0, "list the mounted vaults", "Those of this user; root sees all.\n", join({{kJson}}), cmd_list},
      {"passwd", {}, "VAULT|MOUNTPOINT", 1, 1, "change the password",
       "The vault may be mounted. The new password comes from one of the --new-… options, else from the terminal, else\n"
       "from the next line of standard input.\n",
       join({key_options(), new_password_options(), kdf_time}), cmd_passwd},
      {"key list", {}, "VAULT|MOUNTPOINT", 1, 1, "show what opens a vault",
       "Needs no key. Says when a password's Argon2id costs less than today's default.\n", join({{kJson}}), cmd_key_list},
      {"key add", {}, "VAULT|MOUNTPOINT KIND", 2, 2, "make one more way into a vault",
       "KIND: password; keyfile, a password that works only with --new-keyfile FILE (made if it is not there); recovery,\n"
       "15 words for paper, shown once; fido2, a token that is touched; tpm2, this machine; keyring, the login of this user.\n"
       "First comes a key that the vault has, then the new one, from the sources that tain passwd has (the PIN of a token,\n"
       "too). The new slot is opened once before anything is written. At most 8, and 3 of a kind with a password.\n"
       "Of several tokens TAIN_FIDO2_DEVICE names the one that a slot is made with, by its path.\n"
       "A vault with tpm2 or keyring opens for whoever has this machine or this login; they are never the only ways in.\n",
       join({key_options(), new_password_options(), {{"new-keyfile", 0, "FILE", "of the new password, for KIND keyfile"}, sheet_option()}, kdf_time, {kJson}}),
       cmd_key_add},
      {"key remove", {}, "VAULT|MOUNTPOINT SLOT", 2, 2, "take a way into a vault away",
       "SLOT: as tain key list shows it, or its beginning. The key that is given must be one that stays, and is proven to\n"
       "work first; so the last one never goes.\n",
       join({key_options(), {kJson}}), cmd_key_remove},
      {"key rotate", {}, "VAULT|MOUNTPOINT", 1, 1, "give a vault a new master key and seal everything anew under it",
       "For when somebody may have had a key and a copy of the header. A password that may be known is changed first, by tain\n"
       "passwd: the key that is given here is the one that stays. The others are void, which --void-others agrees to; tain\n"
       "key add makes new ones. It begins with a vault that is not mounted and may then be mounted or interrupted at any\n"
       "time: it goes on with the next mount. Of a mounted vault this shows how far it is.\n",
       join({{{"void-others", 0, "", "all key slots but the one that is opened are void from now on"}}, key_options(), {kJson}}),
       cmd_key_rotate},
      {"header backup", {}, "VAULT|MOUNTPOINT FILE", 2, 2, "copy the header of a vault into a new file",
       "Needs no key. Without a header no key opens the vault; it is kept twice in the vault, and may be kept elsewhere.\n"
       "The copy opens with today's keys for ever, also after they are changed or removed.\n",
       join({}), cmd_header_backup},
      {"header restore", {}, "VAULT [FILE]", 1, 2, "put a copy of the header back into a vault that has lost its own",
       "Without FILE it is the one that this machine keeps since it opened the vault last (TAIN_HEADER_COPIES=no: none is kept).\n"
       "The key must open FILE, and FILE must open the vault's data, before anything is written. What it replaces is kept\n"
       "beside it as header.replaced-….\n",
       join({{{"force", 0, "", "also when the vault has an intact header"}}, key_options()}), cmd_header_restore},
      {"ls", {}, "VAULT[:PATH] | VAULT PATH", 1, 2, "list a directory in a vault, mounted or not",
       "What is damaged does not keep the rest from being listed; the exit status is then 3.\n",
       join({{{"long", 'l', "", "with permissions, owner, size and time"}}, key_options(), {kJson}}), cmd_ls},
      {"cat", {}, "VAULT:PATH[@VERSION] | VAULT PATH[@VERSION]", 1, 2, "write a file of a vault, mounted or not, to standard output",
       kVersionText, join({key_options()}), cmd_cat},
      {"log", {}, "PATH | VAULT:PATH", 1, 1, "show the versions of a file, newest first",
       "PATH: below a mountpoint. A version is shown with its number, the time since when the file was like that, its size,\n"
       "and what was different from the version before. What was overwritten within a second may not be there; under a\n"
       "program that writes without end there is a version a minute. Of what is not there any more, all that had the path and\n"
       "is in the trash, last removed first, with what brings it back; PATH@TIME: only what was there then.\n",
       join({{{"removed", 0, "", "also show what had the path and was removed"}}, key_options(), {kJson}}), cmd_log},
      {"diff", {}, "PATH[@VERSION] [PATH[@VERSION]]", 1, 2, "show what changed in a file",
       "PATH: below a mountpoint, or VAULT:PATH. Of one path without a version, the last change; of one with a version,\n"
       "what changed since. The texts stay in memory; the program diff compares them. VERSION: see tain cat --help.\n",
       join({key_options(), {kJson}}), cmd_diff},
      {"restore", {}, "PATH[@VERSION] | FOLDER@TIME", 1, 1, "bring a version of a file back, a folder as it was, or what was removed",
       "PATH: below a mountpoint, or VAULT:PATH. The version becomes the newest one of the file; what is there now becomes a\n"
       "version, so nothing is lost. What was removed comes back from the trash, with its history; with a version, as that one. With\n"
       "--to a new file is made; if its place is taken, it gets another name, which is printed.\n"
       "FOLDER@TIME brings a whole folder back as it was then: what was removed comes out of the trash, what was changed gets\n"
       "its former state as its newest version, what was not there goes to the trash; MOUNTPOINT/@TIME and VAULT:@TIME the\n"
       "whole vault. It prints what undoes it, and when it was interrupted, the same command goes on. With --to a copy is\n"
       "made. Attributes that were changed alone are not in the history, and stay. Exits with 3 when something failed.\n"
       "VERSION: see tain cat --help.\n",
       join({{{"to", 0, "PATH", "restore it there, a path in the same vault"}}, key_options(), {kJson}}), cmd_restore},
      {"trash list", {}, "VAULT|MOUNTPOINT", 1, 1, "show what was removed, last removed first", "A folder that was removed with what was in it is one line.\n",
       join({key_options(), {kJson}}), cmd_trash_list},
      {"trash restore", {}, "PATH[@TIME]", 1, 1, "bring back what was removed, with its history",
       "PATH: as tain trash list shows it, below a mountpoint or as VAULT:PATH; of several the one that was removed last, or\n"
       "last until TIME. A folder comes back with all that was removed with it. If the place is taken, it gets another name,\n"
       "which is printed. Exits with 3 when something of a folder could not be restored.\n",
       join({{{"to", 0, "PATH", "restore it there, a path in the same vault"}}, key_options(), {kJson}}), cmd_trash_restore},
      {"trash empty", {}, "VAULT|MOUNTPOINT", 1, 1, "remove what is in the trash for good",
       "With all versions of it. This cannot be undone.\n",
       join({{{"older-than", 0, "TIME", "only what was removed that long ago, e.g. 30d"}}, key_options(), {kJson}}), cmd_trash_empty},
      {"purge", {}, "PATH", 1, 1, "remove a file or folder for good, with its history",
       "PATH: below a mountpoint, or VAULT:PATH. What is there, or, if nothing has that path, what was removed last. All of its\n"
       "versions go, and all that is in a folder; nothing brings it back. A file that has other names keeps them. Asks on a\n"
       "terminal. Copies and backups of the vault still have it; its bytes stay in the vault's file, encrypted, until they\n"
       "are written over. Exits with 3 when something stays, because a program uses it or it is time-locked.\n",
       join({{{"yes", 0, "", "do not ask"}}, key_options(), {kJson}}), cmd_purge},
      {"retention", {}, "VAULT|MOUNTPOINT [PRESET]", 1, 2, "show or change what a vault keeps of its past",
       "PRESET: default, all versions for a day, then the last of each hour for a week, of each day for 91 days, of each month\n"
       "for ever, and 30 days of trash; all, everything for ever; week or day, all for so long and nothing older. An option\n"
       "changes one thing, of PRESET or of what the vault has. TIME: 36h, 14d, 8w, …; 0 leaves a stage out; forever.\n"
       "It is the vault's own setting, for everybody who opens it. What it does not keep goes little by little while the vault\n"
       "is mounted, and cannot be had back; how much that is now, is shown, and tain prune --dry-run lists it. When the disk is\n"
       "full, the oldest goes sooner. tain mount -o nohistory keeps nothing new at all.\n",
       join({{{"all", 0, "TIME", "keep all versions for so long after they were replaced"},
              {"hourly", 0, "TIME", "the last one of each hour"},
              {"daily", 0, "TIME", "the last one of each day"},
              {"monthly", 0, "TIME", "the last one of each month"},
              {"trash", 0, "TIME", "keep what was removed"},
              {"dry-run", 0, "", "show what it would be, and change nothing"}},
             key_options(),
             {kJson}}),
       cmd_retention},
      {"prune", {}, "VAULT|MOUNTPOINT", 1, 1, "drop now what the vault does not keep of its past any more",
       "Versions, and what was in the trash, that tain retention does not keep. A mounted vault does this by itself, little by\n"
       "little. It cannot be undone; --dry-run lists what it would be. tain compact gives the space back to the disk.\n",
       join({{{"dry-run", 0, "", "list it, and change nothing"}}, key_options(), {kJson}}), cmd_prune},
      {"timelock", {}, "PATH", 1, 1, "keep yourself from reading a file or folder before a date",
       "PATH: below a mountpoint, or VAULT:PATH. Without an option, says until when it is locked. A folder is locked with\n"
       "everything in it and its part of the trash. Until then tain refuses to read, change, replace or remove it, also its\n"
       "former versions, with 'permission denied' or exit status 28; names, sizes and times stay visible.\n"
       "This keeps honest people honest, no more: it is not cryptography. Whoever has the password can read everything with\n"
       "another program, or by setting the clock forward. Setting the clock back gains nothing.\n"
       "A lock can be made longer, not shorter. --override --yes opens it before its time; what was locked becomes a version,\n"
       "so that the history tells. DATE: 2027-01-01, which is the beginning of that day, or 2027-01-01T10:00; with Z, UTC.\n",
       join({{{"for", 0, "TIME", "from now on for so long, e.g. 1d, 12w"},
              {"until", 0, "DATE", "until then"},
              {"override", 0, "", "open it now"},
              {"yes", 0, "", "with --override: really"}},
             key_options(), {kJson}}),
       cmd_timelock},
      {"timelock list", {}, "VAULT|MOUNTPOINT", 1, 1, "show what is time-locked, and until when",
       "Looks at every entry. A folder is one line, with those of its entries that are locked until another time. Exits with\n"
       "3 when damaged entries could not be looked at.\n",
       join({key_options(), {kJson}}), cmd_timelock_list},
      {"check", {}, "VAULT", 1, 1, "read everything in a vault and say what is damaged",
       "The vault must not be mounted. Checks the header's copies, the structure of the database, every checksum and\n"
       "seal, counts and links. Rot: the storage returned other bytes than were written; tampering: somebody or some\n"
       "program changed them. Exits with 26 when something is damaged.\n"
       "--repair mends what can be mended without losing anything that can be read, and exits with 27 when nothing is\n"
       "wrong any more. A database whose structure is damaged is left alone: see tain salvage.\n",
       join({{{"repair", 0, "", "mend what can be mended; keeps a copy of the database as it was"}}, key_options(), {kJson}}),
       cmd_check},
      {"scrub", {}, "VAULT|MOUNTPOINT", 1, 1, "read all data of a vault, mounted or not, to find damage early",
       "A mount does this by itself, slowly, once in 30 days; this command makes it as fast as it goes. Ctrl-C keeps the\n"
       "position: a mount goes on slowly, and the next run goes on from there. Reads every checksum and seal that belongs\n"
       "to an entry; what only a comparison of everything can tell (counts, links, digests) is for tain check, which needs\n"
       "the vault unmounted. Exits with 26 when something is damaged. The password is for a vault that is not mounted.\n",
       join({key_options(), {kJson}}), cmd_scrub},
      {"compact", {}, "VAULT|MOUNTPOINT", 1, 1, "give space that is free inside a vault back to the disk",
       "What was deleted leaves free space inside the vault's database, which what comes later uses. This makes holes of\n"
       "it, so that others can have it. It works while the vault is mounted and in use; Ctrl-C keeps what was done. ls\n"
       "shows the old size of a file with holes, du what it takes of the disk. The database of a vault that is not mounted\n"
       "also gets shorter, if its end is free. Exits with 1 where the file system makes no holes. The password is for a\n"
       "vault that is not mounted.\n",
       join({key_options(), {kJson}}), cmd_compact},
      {"salvage", {}, "OLD NEW", 2, 2, "take what is intact out of a damaged vault into a new one",
       "OLD is only read. NEW opens with the same password. Needs one intact copy of OLD's header. Entries whose names are\n"
       "lost are in lost+found; damaged parts of a file read as zeros, and its attribute user.tain.damaged lists them.\n"
       "Former versions and the trash come along. Of an entry that is lost, its newest intact version stands in.\n"
       "Exits with 3 when something could not be salvaged.\n",
       join({key_options(), {kJson}}), cmd_salvage},
      {"doctor", {}, "[VAULT]", 0, 1, "check this machine, and a vault's header, for trouble",
       "Needs no password. Exits with 1 if something would keep tain from working, with 26 if the vault's header is damaged.\n",
       join({{kJson}}), cmd_doctor},
      {"version", {}, "", 0, 0, "show the versions of tain, its format and its libraries", "", join({{kJson}}), cmd_version},
      {"help", {}, "[COMMAND]", 0, 2, "show this, or the help of a command", "", join({}), cmd_help},
  };
  return table;
}

const Command* find_command(std::string_view name) {
  for (const Command& command : commands()) {
    const auto& aliases = command.aliases;
    if (command.name == name || std::find(aliases.begin(), aliases.end(), name) != aliases.end()) return &command;
  }
  return nullptr;
}

Spoken find_spoken(const std::vector<std::string>& words) {
  Spoken out;
  out.name = words[0] == "--version" ? "version" : words[0];
  out.command = find_command(out.name);
  if (!command_group(out.name).empty() && words.size() > 1 && !words[1].starts_with('-')) {
    const std::string both = out.name + " " + words[1];
    // A command of one word, of which there are also some of two, takes what is none of those as its argument.
    if (const Command* two = find_command(both); two != nullptr || out.command == nullptr) {
      out.command = two;
      out.name = both;
      out.words = 2;
    }
  }
  return out;
}

std::vector<const Command*> command_group(std::string_view first) {
  std::vector<const Command*> out;
  for (const Command& command : commands())
    if (command.name.starts_with(std::string(first) + " ")) out.push_back(&command);
  return out;
}

Error unknown_command(const std::string& name) {
  std::vector<std::string_view> names;
  for (const Command& known : commands()) {
    names.push_back(known.name);
    names.insert(names.end(), known.aliases.begin(), known.aliases.end());
  }
  std::string meant = nearest(name, names);
  if (const auto group = command_group(name); !group.empty()) meant = std::string(group[0]->name);
  return Error(Code::usage, "unknown command " + name)
      .hint(meant.empty() ? "tain help lists the commands" : "did you mean tain " + meant + "?");
}

void print_overview(World& world) {
  world.out << "usage: tain COMMAND [ARGUMENTS]\n\nAn encrypted folder that mounts as plain files.\n\n";
  for (const Command& command : commands()) print_row(world, command);
  world.out << "\ntain COMMAND --help tells more.\n";
}

void print_help(World& world, const Command& command) {
  world.out << "usage: tain " << command.name << " [OPTIONS] " << command.synopsis << "\n\n" << command.summary << '\n';
  if (!command.aliases.empty()) {
    world.out << "also:";
    for (std::string_view alias : command.aliases) world.out << " tain " << alias;
    world.out << '\n';
  }
  world.out << '\n';
  bool takes_password = false;
  for (const Option& option : command.options) {
    std::string left = left_column(option);
    left.resize(std::max(left.size() + 2, size_t{30}), ' ');
    world.out << left << option.help << '\n';
    takes_password = takes_password || option.name == "passfile";
  }
  if (!command.details.empty()) world.out << '\n' << command.details;
  if (takes_password) world.out << '\n' << kPasswordText;
}

int run(World& world, const std::vector<std::string>& words) {
  world.status = kExitOk;
  auto outcome = dispatch(world, words);
  if (outcome.ok()) return world.status;
  world.out.flush();
  print_error(world, outcome.error());
  return exit_status(outcome.code());
}

}  // namespace tain::cli
