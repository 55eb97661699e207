namespace IommuFd.Uapi;

/// <summary>What a command does with a buffer that its argument points to.</summary>
public enum UserBufferAccess
{
    /// <summary>The command reads it: its bytes travel with the request.</summary>
    In,

    /// <summary>The command writes it: whether it can be written travels with the request, bytes come back with the reply.</summary>
    Out,

    /// <summary>The command reads and writes it.</summary>
    InOut,

    /// <summary>The command maps or names it: no bytes travel, only whether it is readable and writable.</summary>
    Probe,
}

/// <summary>What the reply to a command carries for a buffer.</summary>
public enum UserBufferAnswer
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Bytes to write to it, at most as many as it has and as travel of one buffer.</summary>
    Bytes,

    /// <summary>The pieces of memory that it is copied to or from.</summary>
    Pieces,
}

/// <summary>One buffer of the caller's that a command's argument points to.</summary>
/// <param name="PointerField">The kernel's name of the field that holds the address.</param>
/// <param name="PointerOffset">Offset of the 64-bit address in the argument, in bytes.</param>
/// <param name="Access">What the command does with it.</param>
/// <param name="Length">How its length follows from the argument.</param>
/// <param name="Selector">What the argument must say to have this buffer; null if every argument has it.</param>
public sealed record UserBufferDescriptor(string PointerField, int PointerOffset, UserBufferAccess Access, UserBufferLength Length, UapiSelector? Selector = null)
{
    /// <summary>What the reply carries for it: so a reply's size is known before the command runs.</summary>
    public UserBufferAnswer Answer { get; init; } = Access is UserBufferAccess.Out or UserBufferAccess.InOut ? UserBufferAnswer.Bytes : UserBufferAnswer.None;

    /// <summary>The length of this buffer in an argument.</summary>
    /// <param name="argument">The argument.</param>
    /// <returns>Bytes, saturated at 2^64 - 1; 0 if the argument has no such buffer.</returns>
    public ulong LengthIn(ReadOnlySpan<byte> argument) => Selector is { } selector && !selector.Selects(argument) ? 0 : Length.Of(argument);
}
