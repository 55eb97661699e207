namespace IommuFd.GrainInterfaces.Wire;

// The frames of the gateway's protocol. docs/protocol.md has every field of each; what is written here and read there is tested against it.

/// <summary>What a frame is. The answer to a request has the request's kind and <see cref="Answer"/>.</summary>
internal enum FrameKind : byte
{
    Hello = 0x01,
    Open = 0x02,
    Claim = 0x03,
    Prove = 0x04,
    Pad = 0x05,
    Resume = 0x06,
    OpenDevice = 0x07,
    OpenGroupDevice = 0x08,
    Ioctl = 0x10,
    Read = 0x11,
    Write = 0x12,
    Took = 0x13,
    Resolve = 0x14,
    Closed = 0x15,
    Discard = 0x16,
    Pinned = 0x17,
    DeviceRead = 0x18,
    DeviceWrite = 0x19,
    DeviceMap = 0x1A,
    Look = 0x20,
    Call = 0x30,
    HandleIoctl = 0x31,
    HandleBatch = 0x32,
    Grant = 0x33,

    /// <summary>The bit that makes an answer of a request.</summary>
    Answer = 0x80,

    Bye = 0xFF,
}

/// <summary>What a connection is for.</summary>
internal enum ConnectionRole : byte
{
    Calls = 1,
    Descriptor = 2,
}

/// <summary>Why the gateway ends a connection.</summary>
internal enum ByeReason : ushort
{
    Malformed = 1,
    NoCommonVersion = 2,
    NotPermitted = 3,
    Limit = 4,
    TooSlow = 5,
    Stopping = 6,
}

/// <summary>A frame that breaks the protocol's rules. Its connection ends.</summary>
internal sealed class FrameException(ByeReason reason, string message) : Exception(message)
{
    public ByeReason Reason => reason;

    public static FrameException Malformed(string what) => new(ByeReason.Malformed, what);
}
