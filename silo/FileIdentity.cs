using System.Runtime.InteropServices;

namespace IommuFd.Silo;

/// <summary>Which file a path leads to, and whose it is. On Linux; elsewhere all files are taken for one of this user's.</summary>
/// <param name="Device">The file system's number.</param>
/// <param name="Inode">The file's number there. No other file has it while one process has the file open.</param>
/// <param name="Owner">The user's number.</param>
/// <param name="Mode">Who may do what.</param>
internal readonly partial record struct FileIdentity(ulong Device, ulong Inode, uint Owner, UnixFileMode Mode)
{
    // statx has one layout on all architectures.
    private const int AtCurrentFolder = -100, BasicStatus = 0x7FF, StatusBytes = 256;
    private const int OwnerOffset = 20, ModeOffset = 28, InodeOffset = 32, DeviceOffset = 136;
    private const int PermissionBits = 0xFFF;

    private const int NoEntry = 2, NotAFolder = 20;

    /// <summary>The number of this process's user.</summary>
    public static uint User { get; } = OperatingSystem.IsLinux() ? GetEffectiveUserId() : 0;

    /// <summary>Whether two paths lead, or led, to one file.</summary>
    public bool IsSame(FileIdentity other) => (Device, Inode) == (other.Device, other.Inode);

    /// <summary>The file at a path; null if there is none.</summary>
    /// <exception cref="IOException">The path can't be looked at.</exception>
    public static unsafe FileIdentity? Of(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return File.Exists(path) ? default(FileIdentity) : null;
        }

        var status = stackalloc byte[StatusBytes];
        if (Statx(AtCurrentFolder, path, 0, BasicStatus, status) == 0)
        {
            return new FileIdentity(*(ulong*)(status + DeviceOffset), *(ulong*)(status + InodeOffset), *(uint*)(status + OwnerOffset), (UnixFileMode)(*(ushort*)(status + ModeOffset) & PermissionBits));
        }

        return Marshal.GetLastPInvokeError() is NoEntry or NotAFolder ? null : throw new IOException($"'{path}' can't be looked at: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int Statx(int folder, string path, int flags, uint mask, byte* status);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint GetEffectiveUserId();
}
