// SPDX-License-Identifier: Apache-2.0
#include "tests/support/temp_vault.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace tain::test {

TempDir::TempDir() {
  const char* base = std::getenv("TMPDIR");
  std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/tain-test-XXXXXX";
  EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TempVault::TempVault(store::OpenOptions options, store::CreateOptions create)
    : directory_(root_.path() + "/vault0"), options_(std::move(options)) {
  options_.clock = &clock_;
  // Sanitizers leave little address space, and a test may have several vaults.
  if (options_.map_size_bytes == 0) options_.map_size_bytes = uint64_t{8} << 30;
  auto created = store::Vault::create(directory_, create, password());
  EXPECT_TRUE(created.ok()) << created.error().message();
  open();
}

void TempVault::open() {
  auto opened = store::Vault::open(directory_, options_, password());
  if (!opened.ok()) {
    ADD_FAILURE() << opened.error().message();
    std::abort();  // nothing in the test can go on
  }
  vault_ = std::move(*opened);
}

void TempVault::reopen() {
  if (vault_ != nullptr) {
    auto closed = vault_->close();
    EXPECT_TRUE(closed.ok()) << closed.error().message();
  }
  vault_.reset();
  open();
}

void TempVault::crash() {
  leave_crashed();
  open();
}

void TempVault::leave_crashed() {
  const std::string next = root_.path() + "/vault" + std::to_string(++generation_);
  std::filesystem::create_directory(next);
  for (const char* name : {"header", "header.bak", "data.mdb", "journal"})
    std::filesystem::copy_file(directory_ + "/" + name, next + "/" + name);
  // The abandoned vault commits what it still has when it goes, to its own directory: nobody looks there.
  vault_.reset();
  std::filesystem::remove_all(directory_);
  directory_ = next;
}

Ino TempVault::make_file(Ino directory, const std::string& name) {
  auto made = tree().make(directory, name, {.mode = S_IFREG | 0644, .symlink = {}});
  EXPECT_TRUE(made.ok()) << made.error().message();
  return made.ok() ? made->ino : Ino{};
}

Ino TempVault::make_directory(Ino directory, const std::string& name) {
  auto made = tree().make(directory, name, {.mode = S_IFDIR | 0755, .symlink = {}});
  EXPECT_TRUE(made.ok()) << made.error().message();
  return made.ok() ? made->ino : Ino{};
}

void TempVault::write(Ino ino, uint64_t offset, const std::string& text) {
  auto written = content().write(ino, offset, as_bytes(text));
  EXPECT_TRUE(written.ok()) << written.error().message();
}

std::string TempVault::read(Ino ino, uint64_t offset, size_t size) {
  // As much as there can be, and some more: a read that goes past the end must show.
  constexpr uint64_t kSpare = store::kCellSize;
  const auto attr = tree().getattr(ino);
  const uint64_t left = attr.ok() && attr->size > offset ? attr->size - offset : 0;
  std::string out(std::min<uint64_t>(size, left + kSpare), '\0');
  auto n = content().read(ino, offset, {reinterpret_cast<uint8_t*>(out.data()), out.size()});
  EXPECT_TRUE(n.ok()) << n.error().message();
  out.resize(n.ok() ? *n : 0);
  return out;
}

}  // namespace tain::test
