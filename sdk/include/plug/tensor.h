/*
 * Tensors: arrays in shared memory that calls carry without a copy.
 *
 * An arena is memory that this process writes and that others can only read.  A tensor says what
 * lies where in a buffer of an arena: DLPack's DLTensor with its shape and strides inside, so that
 * a view is a copy of the struct (docs/tensors.md has the fields side by side).
 *
 * Who holds what
 *  - plug_tensor_alloc() and the functions that make a new buffer (plug_tensor_copy(),
 *    plug_tensor_convert()) give a reference, to be given back with plug_tensor_unref().
 *  - The tensors of a call belong to the call, those of a reply to the reply: nothing is to be
 * given back.  Who needs one for longer takes a reference with plug_tensor_ref().
 *  - A view (plug_tensor_slice(), …, or a copy of the struct) takes no reference: it is valid as
 *    long as what it was made from.
 *  - A request's tensors keep their contents until the call is answered, a reply's until their last
 *    reference is gone.  Memory that was received stays readable for as long as there is a
 *    reference, even when its owner has died.
 *
 * Another process owns the memory of a tensor that was received: it may change under the reader at
 * any time.  Whoever acts on a value that somebody may want to falsify copies it first and checks
 * the copy.  What a struct plug_tensor says is always checked and private: it stays inside its
 * buffer whatever the owner does.  Received memory is mapped for reading only: writing to it ends
 * the process with SIGSEGV (PLUG_TENSOR_READ_ONLY says so).
 *
 * All functions may be called from any thread; one struct plug_tensor belongs to one thread at a
 * time.  Nothing here blocks.  plug_tensor_error_text() has the words to every failure.
 */
#ifndef PLUG_TENSOR_H
#define PLUG_TENSOR_H

#include <plug/error.h>
#include <plug/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLUG_TENSOR_DIMS 8  /* at most */
#define PLUG_TENSOR_NAME 64 /* bytes of a name, its NUL included */
#define PLUG_TENSORS     32 /* of one request or one reply, at most */

/* ---- element types ---- */

/* Numbered as in DLPack 1.0; wire contract.  STRING is our own. */
enum plug_dtype_code {
	PLUG_CODE_INT = 0,
	PLUG_CODE_UINT = 1,
	PLUG_CODE_FLOAT = 2,
	PLUG_CODE_OPAQUE =
		3, /* bytes that nobody interprets; not a pointer: it means nothing here */
	PLUG_CODE_BFLOAT = 4,
	PLUG_CODE_COMPLEX = 5, /* bits count both parts */
	PLUG_CODE_BOOL = 6,
	PLUG_CODE_STRING = 200
};

/*
 * Any width is carried whose element (bits * lanes) is a whole number of bytes: two lanes of a
 * 4-bit integer, but not one.  One lane of INT and UINT of 8 to 64 bits, FLOAT of 16 to 64, BFLOAT
 * of 16, COMPLEX of 64 and 128 and BOOL of 8 can be converted into each other.
 */
struct plug_dtype {
	uint8_t code; /* enum plug_dtype_code */
	uint8_t bits;
	uint16_t lanes;
};

#ifdef __cplusplus
#define PLUG_DTYPE(code, bits) (plug_dtype{(code), (bits), 1})
#else
#define PLUG_DTYPE(code, bits) ((struct plug_dtype){(code), (bits), 1})
#endif
#define PLUG_INT8       PLUG_DTYPE(PLUG_CODE_INT, 8)
#define PLUG_INT16      PLUG_DTYPE(PLUG_CODE_INT, 16)
#define PLUG_INT32      PLUG_DTYPE(PLUG_CODE_INT, 32)
#define PLUG_INT64      PLUG_DTYPE(PLUG_CODE_INT, 64)
#define PLUG_UINT8      PLUG_DTYPE(PLUG_CODE_UINT, 8)
#define PLUG_UINT16     PLUG_DTYPE(PLUG_CODE_UINT, 16)
#define PLUG_UINT32     PLUG_DTYPE(PLUG_CODE_UINT, 32)
#define PLUG_UINT64     PLUG_DTYPE(PLUG_CODE_UINT, 64)
#define PLUG_FLOAT16    PLUG_DTYPE(PLUG_CODE_FLOAT, 16)
#define PLUG_FLOAT32    PLUG_DTYPE(PLUG_CODE_FLOAT, 32)
#define PLUG_FLOAT64    PLUG_DTYPE(PLUG_CODE_FLOAT, 64)
#define PLUG_BFLOAT16   PLUG_DTYPE(PLUG_CODE_BFLOAT, 16)
#define PLUG_COMPLEX64  PLUG_DTYPE(PLUG_CODE_COMPLEX, 64)
#define PLUG_COMPLEX128 PLUG_DTYPE(PLUG_CODE_COMPLEX, 128)
#define PLUG_BOOL8      PLUG_DTYPE(PLUG_CODE_BOOL, 8)
#define PLUG_STRING     PLUG_DTYPE(PLUG_CODE_STRING, 64)

/*
 * An element of PLUG_STRING: `bytes` bytes at `offset` from the beginning of the tensor's buffer
 * (plug_tensor.data), without a NUL.  Elements may share bytes.  So a string tensor's buffer holds
 * its elements and, anywhere, the bytes; plug_tensor_strings() makes one.
 */
struct plug_string {
	uint32_t offset, bytes;
};

static inline bool
plug_dtype_equal(struct plug_dtype a, struct plug_dtype b)
{
	return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

/* Bytes of an element, all lanes; 0 when it is not a type that can be carried. */
PLUG_API size_t plug_dtype_bytes(struct plug_dtype dtype);

/* "float32", "bfloat16", "int4x2", "string", …; of a type that cannot be carried its numbers.
 * Writes to buf and returns it. */
#define PLUG_DTYPE_NAME 32
PLUG_API const char *plug_dtype_name(struct plug_dtype dtype, char buf[PLUG_DTYPE_NAME]);

/* The reverse.  PLUG_EINVAL: not such a name. */
PLUG_API plug_err plug_dtype_parse(const char *name, struct plug_dtype *ret);

/* ---- tensors ---- */

struct plug_arena;
struct plug_buffer;

enum plug_device_type { PLUG_DEVICE_CPU = 1 }; /* DLPack's numbers */

struct plug_device {
	int32_t type; /* enum plug_device_type */
	int32_t id;
};

enum plug_tensor_flags {
	PLUG_TENSOR_READ_ONLY = 1 << 0 /* the memory is another process's */
};

/* Filled by the functions below; who fills one by hand starts from zeroes.  The first members have
 * the meaning of DLTensor's. */
struct plug_tensor {
	void *data; /* beginning of the buffer; of an empty tensor anything but NULL */
	struct plug_device device;
	int32_t ndim; /* 0: a scalar */
	struct plug_dtype dtype;
	int64_t shape[PLUG_TENSOR_DIMS];
	int64_t strides[PLUG_TENSOR_DIMS]; /* in elements; may be 0 or negative; always set */
	uint64_t byte_offset;              /* of the element 0, 0, … from data */

	uint32_t flags;              /* enum plug_tensor_flags */
	char name[PLUG_TENSOR_NAME]; /* "": none */
	struct plug_buffer *buffer;  /* NULL: empty, or memory that is in no arena */
	uint64_t bytes;              /* from data on; all elements are inside */
	uint64_t reserved[3];        /* 0 */
};

/*
 * A new buffer in the arena and a tensor over all of it, row-major; its memory is not cleared.  On
 * failure *ret is untouched.  A tensor without elements takes no memory (arena may be NULL).  The
 * memory is aligned to 64 bytes, from 64 KiB on to 4096.
 *
 * PLUG_EINVAL      a type that cannot be carried, ndim not 0..8, a negative dimension, or a size
 *                  that overflows
 * PLUG_ETOOLARGE   larger than the arena
 * PLUG_EOVERLOADED there is no such room now: release tensors first, or use a larger arena
 * PLUG_ENOMEM      no memory for the bookkeeping
 */
PLUG_API plug_err plug_tensor_alloc(struct plug_arena *arena, struct plug_dtype dtype, int ndim,
				    const int64_t *shape, struct plug_tensor *ret);

/* One more reference to, or one less of, the tensor's buffer.  The tensor passed to
 * plug_tensor_unref() is not for use afterwards; NULL and tensors without a buffer are allowed. */
PLUG_API void plug_tensor_ref(const struct plug_tensor *tensor);
PLUG_API void plug_tensor_unref(const struct plug_tensor *tensor);

/* Cut to PLUG_TENSOR_NAME - 1 bytes, between characters. */
PLUG_API void plug_tensor_set_name(struct plug_tensor *tensor, const char *name);

/*
 * A tensor over the caller's own memory, to be copied from or to, or converted: it cannot be sent.
 * `bytes` is the length of the memory.  strides NULL: row-major.  Errors as plug_tensor_check().
 */
PLUG_API plug_err plug_tensor_wrap(void *data, uint64_t bytes, struct plug_dtype dtype, int ndim,
				   const int64_t *shape, const int64_t *strides,
				   struct plug_tensor *ret);

/* String tensor of one dimension from `count` strings of the given lengths (NULL: they end with a
 * NUL); errors as plug_tensor_alloc(), and PLUG_ETOOLARGE beyond 4 GiB. */
PLUG_API plug_err plug_tensor_strings(struct plug_arena *arena, const char *const *strings,
				      const size_t *lengths, size_t count, struct plug_tensor *ret);

/*
 * The string at `index` (ndim numbers), inside the buffer.
 * PLUG_EINVAL: not a string tensor, index out of range, or bytes outside of the buffer.
 */
PLUG_API plug_err plug_tensor_string(const struct plug_tensor *tensor, const int64_t *index,
				     const char **ret, size_t *ret_bytes);

/* ---- what it is ---- */

/*
 * Is everything of it in order: the type, the dimensions, sizes that do not overflow, every element
 * inside the buffer and aligned to its type?  Tensors received were checked.  PLUG_EINVAL.
 */
PLUG_API plug_err plug_tensor_check(const struct plug_tensor *tensor);

/* Elements (1 of a scalar) and their bytes, without gaps; of a tensor that was checked. */
PLUG_API uint64_t plug_tensor_elements(const struct plug_tensor *tensor);
PLUG_API uint64_t plug_tensor_bytes(const struct plug_tensor *tensor);

/* Are its elements row-major without gaps: may they be read from plug_tensor_data() as one array?
 */
PLUG_API bool plug_tensor_contiguous(const struct plug_tensor *tensor);

/*
 * Does the buffer still hold what it held when the tensor was received?  False once its owner has
 * given the memory out anew: what was read from it since the last true is not to be used.  The
 * owner's word: an owner who lies can change contents at any time.  Always true of own memory.
 */
PLUG_API bool plug_tensor_current(const struct plug_tensor *tensor);

/* The element 0, 0, … */
static inline void *
plug_tensor_data(const struct plug_tensor *tensor)
{
	return (char *)tensor->data + tensor->byte_offset;
}

/* Is it of this type, with ndim dimensions of these sizes (-1: any)? */
PLUG_API bool plug_tensor_is(const struct plug_tensor *tensor, struct plug_dtype dtype, int ndim,
			     const int64_t *shape);

/* "uint8[480, 640, 3]", for messages.  Writes to buf and returns it. */
PLUG_API const char *plug_tensor_describe(const struct plug_tensor *tensor, char *buf, size_t size);

/* ---- views: nothing is copied, no reference is taken; ret may be the tensor itself ---- */

/*
 * Every step'th index of dimension `dim` from start up to and without stop.  With a negative step
 * from start down to and without stop, which is then -1 to include 0.  PLUG_EINVAL: an index out of
 * range, step 0.
 */
PLUG_API plug_err plug_tensor_slice(const struct plug_tensor *tensor, int dim, int64_t start,
				    int64_t stop, int64_t step, struct plug_tensor *ret);

/* Only index `index` of dimension `dim`, which goes away. */
PLUG_API plug_err plug_tensor_select(const struct plug_tensor *tensor, int dim, int64_t index,
				     struct plug_tensor *ret);

/* Dimension i of the view is dimension axes[i]; axes NULL: in reverse order. */
PLUG_API plug_err plug_tensor_transpose(const struct plug_tensor *tensor, const int *axes,
					struct plug_tensor *ret);

/* Other dimensions of the same elements.  One of them may be -1: what is left.  PLUG_EINVAL: other
 * in number.  PLUG_ESTATE: not contiguous, copy it first. */
PLUG_API plug_err plug_tensor_reshape(const struct plug_tensor *tensor, int ndim,
				      const int64_t *shape, struct plug_tensor *ret);

/* ---- copies, each of which is counted ---- */

enum plug_convert_flags {
	/* What an integer type cannot hold becomes the nearest that it can, NaN 0; otherwise it is
	 * PLUG_EINVAL and the text names the element. */
	PLUG_CONVERT_SATURATE = 1 << 0
};

/*
 * Into dst, a tensor of the same shape and any strides that is not read-only.
 *
 * Conversion: fractions are cut towards 0; wider floats are rounded to the nearest, ties to even,
 * and become infinite beyond the range; any number that is not 0 is true; a complex number of a
 * real one has no imaginary part.  A complex number does not become a real one.
 *
 * PLUG_EINVAL  shapes differ, no such conversion, dst is read-only, an element does not fit; dst is
 *              then partly written
 */
PLUG_API plug_err plug_tensor_copy_to(const struct plug_tensor *tensor, struct plug_tensor *dst,
				      uint32_t flags);

/* Into a new buffer of the arena, row-major; a string tensor with its strings.  Errors as
 * plug_tensor_alloc(). */
PLUG_API plug_err plug_tensor_copy(const struct plug_tensor *tensor, struct plug_arena *arena,
				   struct plug_tensor *ret);

/* The same as another type. */
PLUG_API plug_err plug_tensor_convert(const struct plug_tensor *tensor, struct plug_arena *arena,
				      struct plug_dtype dtype, uint32_t flags,
				      struct plug_tensor *ret);

/* ---- arenas ---- */

struct plug_arena_config {
	size_t size;      /* sizeof(struct plug_arena_config) */
	uint64_t bytes;   /* for buffers; rounded up to pages */
	const char *name; /* as /proc/PID/maps shows it; NULL: "tensors" */
};

/*
 * Memory for tensors that this process writes.  All of it is taken now, and charged to this
 * process; it is sealed, so that others can neither write nor resize it.  It is nowhere in the file
 * system. A process that is sent one tensor of it can read all of it: keep apart what is not for
 * everybody.
 *
 * PLUG_EINVAL  config->size, or bytes is 0 or more than 2^46
 * PLUG_ENOMEM  no memory for it, or a limit on memory is in the way
 * PLUG_ESYS    no descriptor is left
 */
PLUG_API plug_err plug_arena_open(const struct plug_arena_config *config, struct plug_arena **ret);

/* The handle is not for use any more; the memory goes with its last tensor.  NULL is allowed. */
PLUG_API void plug_arena_close(struct plug_arena *arena);

struct plug_arena_stats {
	uint64_t bytes;   /* for buffers */
	uint64_t used;    /* by buffers, their rounding included */
	uint64_t largest; /* buffer that can be had now, at least */
	uint64_t buffers;
};

PLUG_API void plug_arena_stats(const struct plug_arena *arena, struct plug_arena_stats *ret);

/* ---- counts ---- */

/* Of this process since it began, or as of now. */
struct plug_tensor_stats {
	uint64_t copies, bytes_copied; /* of tensor contents, by this library; all that there are */
	uint64_t sent, received;       /* tensors */
	uint64_t refused;              /* received ones that were wrong */
	uint64_t strays;               /* releases of what was not lent */
	uint64_t own_arenas, own_bytes;   /* now */
	uint64_t seen_arenas, seen_bytes; /* now; mapped, of other processes */
	uint64_t buffers;                 /* now; own ones in use */
};

/* size: sizeof(struct plug_tensor_stats). */
PLUG_API void plug_tensor_stats(struct plug_tensor_stats *ret, size_t size);

/* The last failure of these functions on this thread, in words: what was found, what was expected,
 * what to do.  Never NULL; valid until the thread's next failure. */
PLUG_API const char *plug_tensor_error_text(void);

#ifdef __cplusplus
}
#endif

#endif
