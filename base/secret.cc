// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <sodium.h>

#include <atomic>
#include <new>
#include <utility>

#include "base/check.h"

namespace tain {
namespace {

// The one mutable global of base/: whether any mlock of a secret has failed, for `status`.
std::atomic<bool> lock_failed{false};

}  // namespace

Result<> init_crypto() {
  if (sodium_init() < 0) return Error(Code::io, "libsodium could not be initialised");
  return {};
}

Secret::Secret(size_t size) {
  if (size == 0) return;
  data_ = static_cast<uint8_t*>(sodium_malloc(size));
  if (data_ == nullptr) throw std::bad_alloc();
  // sodium_malloc ignores a failed mlock; locking again tells whether it worked. Page-granular.
  if (sodium_mlock(data_, size) != 0) lock_failed.store(true, std::memory_order_relaxed);
  size_ = size;
  sodium_memzero(data_, size_);
}

Secret Secret::copy_of(ByteView bytes) {
  Secret out(bytes.size());
  if (!bytes.empty()) std::memcpy(out.data_, bytes.data(), bytes.size());
  return out;
}

Secret Secret::random(size_t size) {
  Secret out(size);
  fill_random(out.span());
  return out;
}

Secret::~Secret() { sodium_free(data_); }

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    sodium_free(data_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Secret::shrink(size_t size) {
  CHECK(size <= size_);
  // The allocation keeps its size (sodium_free must see the pointer it handed out), so wiping the
  // tail and narrowing the view is enough.
  if (size < size_) sodium_memzero(data_ + size, size_ - size);
  size_ = size;
}

bool Secret::equals(const Secret& other) const {
  return size_ == other.size_ && (size_ == 0 || sodium_memcmp(data_, other.data_, size_) == 0);
}

bool Secret::all_locked() { return !lock_failed.load(std::memory_order_relaxed); }

void wipe(ByteSpan bytes) { sodium_memzero(bytes.data(), bytes.size()); }

bool equal_constant_time(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  // The size of a seal's commitment, which every record that is read has: sodium_memcmp takes it byte by byte.
  if (a.size() == crypto_verify_32_BYTES) return crypto_verify_32(a.data(), b.data()) == 0;
  return a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void fill_random(ByteSpan bytes) {
  if (!bytes.empty()) randombytes_buf(bytes.data(), bytes.size());
}

}  // namespace tain
