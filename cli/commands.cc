// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <algorithm>

#include "cli/exit.h"
#include "cli/password.h"

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
    "credential tain.password; else from the terminal; else from a line of standard input.\n";

std::string left_column(const Option& option) {
  std::string text = option.letter != 0 ? std::string("  -") + option.letter + ", --" : "      --";
  text += option.name;
  if (!option.value.empty()) text += " " + std::string(option.value);
  return text;
}

Result<> dispatch(World& world, const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    print_overview(world);
    return flush_output(world);
  }
  const std::string name = words[0] == "--version" ? "version" : words[0];
  const Command* command = find_command(name);
  if (command == nullptr) {
    std::vector<std::string_view> names;
    for (const Command& known : commands()) {
      names.push_back(known.name);
      names.insert(names.end(), known.aliases.begin(), known.aliases.end());
    }
    const std::string meant = nearest(name, names);
    return Error(Code::usage, "unknown command " + name)
        .hint(meant.empty() ? "tain help lists the commands" : "did you mean tain " + meant + "?");
  }
  auto arguments = Arguments::parse(command->options, {words.begin() + 1, words.end()});
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
       "Without --cipher, AES-256-GCM is used where the processor has it, else XChaCha20-Poly1305.\n",
       join({{{"cipher", 0, "NAME", "aes-256-gcm or xchacha20-poly1305"}}, kdf_time, password_options(), {kJson}}), cmd_init},
      {"mount", {}, "VAULT MOUNTPOINT", 2, 2, "unlock a vault and mount it",
       "Returns as soon as the mount is usable. A missing mountpoint is made, and removed again after the unmount;\n"
       "an existing one must be empty. While the vault is not mounted, the mountpoint refuses writes, so that nothing\n"
       "lands there in clear; tain unmount --release takes that off.\n"
       "Mount options: ro, rw, allow_other, allow_root, noatime, noexec, acl, noacl, idle=TIME, lock_on_suspend,\n"
       "lock_on_screen, scrub_rate=RATE, scrub_after=TIME, passfile=FILE (mount.tain only).\n"
       "POSIX ACLs are on where other users may be let in or the vault has some; acl and noacl say otherwise.\n"
       "nosuid and nodev are always on; what is meant for mount(8), systemd or a desktop is ignored.\n",
       join({{{"foreground", 'f', "", "stay in the foreground; Ctrl-C unmounts"},
              {"options", 'o', "OPTIONS", "mount options, separated by commas", true},
              {"ro", 0, "", "mount read-only"},
              {"allow-other", 0, "", "let other users in, as far as the files' permissions go"},
              {"idle", 0, "TIME", "unmount after that long without use, e.g. 15m; not while a file is open"},
              {"lock-on-suspend", 0, "", "unmount before the machine sleeps; programs that use the mount are cut off"},
              {"lock-on-screen", 0, "", "unmount when the session is locked; programs that use it are cut off"},
              {"scrub-rate", 0, "RATE", "bytes a second of reading all data in the background: 4M if not given, or off"},
              {"scrub-after", 0, "TIME", "begin that long after the mount (default 5m), if 30 days have passed"}},
             password_options(),
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
       join({password_options(), new_password_options(), kdf_time}), cmd_passwd},
      {"ls", {}, "VAULT[:PATH] | VAULT PATH", 1, 2, "list a directory in a vault, mounted or not",
       "What is damaged does not keep the rest from being listed; the exit status is then 3.\n",
       join({{{"long", 'l', "", "with permissions, owner, size and time"}}, password_options(), {kJson}}), cmd_ls},
      {"cat", {}, "VAULT:PATH | VAULT PATH", 1, 2, "write a file of a vault, mounted or not, to standard output", "",
       join({password_options()}), cmd_cat},
      {"check", {}, "VAULT", 1, 1, "read everything in a vault and say what is damaged",
       "The vault must not be mounted. Checks the header's copies, the structure of the database, every checksum and\n"
       "seal, counts and links. Rot: the storage returned other bytes than were written; tampering: somebody or some\n"
       "program changed them. Exits with 26 when something is damaged.\n"
       "--repair mends what can be mended without losing anything that can be read, and exits with 27 when nothing is\n"
       "wrong any more. A database whose structure is damaged is left alone: see tain salvage.\n",
       join({{{"repair", 0, "", "mend what can be mended; keeps a copy of the database as it was"}}, password_options(), {kJson}}),
       cmd_check},
      {"scrub", {}, "VAULT|MOUNTPOINT", 1, 1, "read all data of a vault, mounted or not, to find damage early",
       "A mount does this by itself, slowly, once in 30 days; this command makes it as fast as it goes. Ctrl-C keeps the\n"
       "position: a mount goes on slowly, and the next run goes on from there. Reads every checksum and seal that belongs\n"
       "to an entry; what only a comparison of everything can tell (counts, links, digests) is for tain check, which needs\n"
       "the vault unmounted. Exits with 26 when something is damaged. The password is for a vault that is not mounted.\n",
       join({password_options(), {kJson}}), cmd_scrub},
      {"compact", {}, "VAULT|MOUNTPOINT", 1, 1, "give space that is free inside a vault back to the disk",
       "What was deleted leaves free space inside the vault's database, which what comes later uses. This makes holes of\n"
       "it, so that others can have it. It works while the vault is mounted and in use; Ctrl-C keeps what was done. ls\n"
       "shows the old size of a file with holes, du what it takes of the disk. The database of a vault that is not mounted\n"
       "also gets shorter, if its end is free. Exits with 1 where the file system makes no holes. The password is for a\n"
       "vault that is not mounted.\n",
       join({password_options(), {kJson}}), cmd_compact},
      {"salvage", {}, "OLD NEW", 2, 2, "take what is intact out of a damaged vault into a new one",
       "OLD is only read. NEW opens with the same password. Needs one intact copy of OLD's header. Entries whose names are\n"
       "lost are in lost+found; damaged parts of a file read as zeros, and its attribute user.tain.damaged lists them.\n"
       "Exits with 3 when something could not be salvaged.\n",
       join({password_options(), {kJson}}), cmd_salvage},
      {"doctor", {}, "[VAULT]", 0, 1, "check this machine, and a vault's header, for trouble",
       "Needs no password. Exits with 1 if something would keep tain from working, with 26 if the vault's header is damaged.\n",
       join({{kJson}}), cmd_doctor},
      {"version", {}, "", 0, 0, "show the versions of tain, its format and its libraries", "", join({{kJson}}), cmd_version},
      {"help", {}, "[COMMAND]", 0, 1, "show this, or the help of a command", "", join({}), cmd_help},
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

void print_overview(World& world) {
  world.out << "usage: tain COMMAND [ARGUMENTS]\n\nAn encrypted folder that mounts as plain files.\n\n";
  for (const Command& command : commands()) {
    std::string name(command.name);
    name.resize(std::max(name.size(), size_t{10}), ' ');
    world.out << "  " << name << command.summary << '\n';
  }
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
