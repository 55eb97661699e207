using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace IommuFd.GrainInterfaces.Security;

// On loopback all users of a machine reach a silo's ports. The silo's user is told from the others by a file that only this user can read. The
// first silo makes it; every further silo and every client of that user finds it by itself. A file that others could have read or written proves
// nothing, so it is refused rather than mended.

/// <summary>The secret that the silos and clients of one user share.</summary>
internal static class SecretFile
{
    /// <summary>The environment variable that names the file, where no setting does.</summary>
    public const string PathVariable = "IOMMUFD_SECRET_PATH";

    /// <summary>The bytes of a secret, and the fewest that a file may have.</summary>
    public const int Length = 32;

    private const int MaxLength = 4096;

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Where the file is: as named, else as the environment says, else in the user's folder for state.</summary>
    /// <exception cref="ValidationException">Nothing names it, and the user has no home.</exception>
    public static string PathOf(string? named)
    {
        if (FirstOf(named, Environment.GetEnvironmentVariable(PathVariable)) is { } path)
        {
            return Path.GetFullPath(path);
        }

        var state = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
        if (string.IsNullOrEmpty(state) || !Path.IsPathFullyQualified(state))
        {
            var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            state = home.Length > 0
                ? Path.Combine(home, ".local", "state")
                : throw new ValidationException($"This user has no home for the silo's secret: name a file for it in {PathVariable}.");
        }

        return Path.Combine(state, "iommufd", "secret");
    }

    /// <summary>Reads the secret, and makes it first if there is no such file.</summary>
    /// <exception cref="ValidationException">The file can't be made or read, or others could know what it contains.</exception>
    public static byte[] ReadOrCreate(string path) => Guarded(path, () =>
    {
        if (!Path.Exists(path) && new FileInfo(path).LinkTarget is null)
        {
            Create(path);
        }

        return ReadChecked(path);
    });

    /// <summary>Reads the secret.</summary>
    /// <exception cref="ValidationException">There is no such file, it can't be read, or others could know what it contains.</exception>
    public static byte[] Read(string path) => Guarded(path, () => ReadChecked(path));

    private static byte[] ReadChecked(string path)
    {
        var link = new FileInfo(path);
        if (link.LinkTarget is not null)
        {
            throw Problem(path, "is a symbolic link, which may lead anywhere; it must be the file itself");
        }

        if (!link.Exists)
        {
            throw Problem(path, $"is not there. A silo makes it when it first starts as this user; if the silo has another, name a copy of it in {PathVariable}");
        }

        using var file = File.OpenHandle(path);
        CheckOwner(path, file);
        var length = RandomAccess.GetLength(file);
        if (length is < Length or > MaxLength)
        {
            throw Problem(path, $"has {length} bytes; it must have {Length} to {MaxLength}. Delete it, and the next silo that starts makes a new one");
        }

        var secret = new byte[length];
        return RandomAccess.Read(file, secret, 0) == length ? secret : throw Problem(path, "changed while it was read");
    }

    private static void CheckOwner(string path, SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        if (Libc.OwnerOf(file) is var owner && owner != Libc.GetEffectiveUserId())
        {
            throw Problem(path, $"belongs to another user (uid {owner}). Name a file of this user in {PathVariable}");
        }

        var mode = File.GetUnixFileMode(file);
        if ((mode & ~(OwnerOnly | UnixFileMode.UserExecute)) != 0)
        {
            throw Problem(path, $"can be read or written by other users (mode {Convert.ToString((int)mode, 8)}). Delete it, and the next silo that starts makes a new one");
        }
    }

    // Complete under a name of its own, then linked to the name that others look for: of silos that start at once one wins, and nobody reads half.
    private static void Create(string path)
    {
        var folder = Path.GetDirectoryName(path)!;
        var made = $"{path}.{Guid.NewGuid():N}";
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder, OwnerOnly | UnixFileMode.UserExecute);
            options.UnixCreateMode = OwnerOnly;
        }
        else
        {
            Directory.CreateDirectory(folder);
        }

        try
        {
            using (var file = new FileStream(made, options))
            {
                file.Write(RandomNumberGenerator.GetBytes(Length));
            }

            if (!OperatingSystem.IsLinux())
            {
                File.Move(made, path, overwrite: false);
            }
            else if (Libc.Link(made, path) != 0 && !File.Exists(path))
            {
                throw new IOException(Marshal.GetLastPInvokeErrorMessage());
            }
        }
        finally
        {
            File.Delete(made);
        }
    }

    private static byte[] Guarded(string path, Func<byte[]> read)
    {
        try
        {
            return read();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ValidationException($"The silo's secret, '{path}', can't be used: {exception.Message}", exception);
        }
    }

    private static string? FirstOf(params string?[] names) => names.FirstOrDefault(name => !string.IsNullOrEmpty(name));

    private static ValidationException Problem(string path, string problem) => new($"The silo's secret, '{path}', {problem}.");

    private static class Libc
    {
        // statx has one layout on all architectures: the owner is the u32 at byte 20.
        private const int AtEmptyPath = 0x1000, StatxUid = 0x8, StatusSize = 256, OwnerOffset = 20;

        public static uint OwnerOf(SafeFileHandle file)
        {
            var status = new byte[StatusSize];
            return Statx(file, [0], AtEmptyPath, StatxUid, status) == 0
                ? BitConverter.ToUInt32(status, OwnerOffset)
                : throw new IOException(Marshal.GetLastPInvokeErrorMessage());
        }

        [DllImport("libc", EntryPoint = "geteuid")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern uint GetEffectiveUserId();

        [DllImport("libc", EntryPoint = "link", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Link([MarshalAs(UnmanagedType.LPUTF8Str)] string existing, [MarshalAs(UnmanagedType.LPUTF8Str)] string name);

        [DllImport("libc", EntryPoint = "statx", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        private static extern int Statx(SafeFileHandle file, byte[] path, int flags, uint mask, [Out] byte[] status);
    }
}
