using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>
/// The memory of the program that issues ioctls: what the pointers in arguments point to. The service never touches it; the SDK copies in before
/// an ioctl and copies out after it, and reports what can't be accessed as it is.
/// </summary>
public interface ICallerMemory
{
    /// <summary>Copies bytes out of the memory, up to the first that can't be read.</summary>
    /// <param name="address">Where to start.</param>
    /// <param name="destination">Where the bytes go.</param>
    /// <returns>How many leading bytes were copied.</returns>
    int Read(ulong address, Span<byte> destination);

    /// <summary>Copies bytes into the memory, up to the first that can't be written.</summary>
    /// <param name="address">Where to start.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>How many leading bytes were copied.</returns>
    int Write(ulong address, ReadOnlySpan<byte> source);

    /// <summary>How far memory can be accessed.</summary>
    /// <param name="address">Where to start.</param>
    /// <param name="length">How many bytes to look at.</param>
    /// <param name="access">The access that is wanted.</param>
    /// <returns>How many leading bytes permit it, at most <paramref name="length"/>.</returns>
    ulong Accessible(ulong address, ulong length, MemoryAccess access);

    /// <summary>Finds a file that an argument names by its descriptor.</summary>
    /// <param name="fileDescriptor">The descriptor.</param>
    /// <returns>The file; null where the descriptor isn't open.</returns>
    UserFile? FindFile(int fileDescriptor) => null;

    /// <summary>Gives a file that an ioctl has opened a descriptor, as <c>fd_install</c> does.</summary>
    /// <param name="file">The file. Whoever closes the descriptor disposes it.</param>
    /// <returns>The descriptor; -1 where there is none to give, and then the ioctl answers EMFILE and has done nothing.</returns>
    int InstallFile(IommuFile file) => -1;

    /// <summary>Copies bytes out of a file that is mapped, up to the first that can't be read.</summary>
    /// <param name="file">The file.</param>
    /// <param name="offset">Where to start.</param>
    /// <param name="destination">Where the bytes go.</param>
    /// <returns>How many leading bytes were copied.</returns>
    int ReadFile(MappedFile file, ulong offset, Span<byte> destination) => 0;

    /// <summary>Copies bytes into a file that is mapped, up to the first that can't be written.</summary>
    /// <param name="file">The file.</param>
    /// <param name="offset">Where to start.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>How many leading bytes were copied.</returns>
    int WriteFile(MappedFile file, ulong offset, ReadOnlySpan<byte> source) => 0;
}
