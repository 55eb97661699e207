using System.Net;
using IommuFd.GrainInterfaces.Security;

namespace IommuFd.Silo;

// The kernel lets only processes of one user share a port, so a claim needs to be seen by that user's silos alone, and must not be there for others to
// take: it is a lock on a file of the user's, which ends with the process. Ports belong to a network namespace of a machine that has booted once, and
// a user's folder may be in several.

/// <summary>A claim on a port, for one silo of this user.</summary>
internal sealed class PortClaim : IDisposable
{
    private const int WouldBlock = 11;

    private const UnixFileMode OfOthers = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    private readonly FileStream? _file;

    private PortClaim(FileStream? file) => _file = file;

    /// <summary>The folder with the claims of a user: beside the secret. Null where there is none that is the user's alone.</summary>
    /// <param name="secretPath">The setting that names the secret's file, if any.</param>
    public static string? FolderFor(string? secretPath)
    {
        try
        {
            var folder = Path.Combine(Path.GetDirectoryName(SecretFile.PathOf(secretPath))!, "ports");
            PrivateFile.CreateFolder(folder);
            return FileIdentity.Of(folder) is { } identity && identity.Owner == FileIdentity.User && (identity.Mode & OfOthers) == 0 ? folder : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or System.ComponentModel.DataAnnotations.ValidationException)
        {
            // As in a container whose files are read-only, where no second silo is.
            return null;
        }
    }

    /// <summary>Claims a port.</summary>
    /// <param name="folder">The folder with the claims; without one each claim is granted.</param>
    /// <param name="endpoint">The port.</param>
    /// <returns>Null if another silo of this user has it.</returns>
    public static PortClaim? TryTake(string? folder, IPEndPoint endpoint)
    {
        if (folder is null || !OperatingSystem.IsLinux())
        {
            return new PortClaim(null);
        }

        var path = Path.Combine(folder, $"{Place()}-{endpoint.Address}-{endpoint.Port}".Replace('%', '-'));
        while (true)
        {
            try
            {
                var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
                if (IsAt(path, file))
                {
                    return new PortClaim(file);
                }

                // Its last holder has deleted it in between.
                file.Dispose();
            }
            catch (IOException exception) when (exception.HResult == WouldBlock)
            {
                return null;
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                return new PortClaim(null);
            }
        }
    }

    public void Dispose()
    {
        if (_file is not null)
        {
            // While it is locked, so that nobody else has it meanwhile.
            File.Delete(_file.Name);
            _file.Dispose();
        }
    }

    private static bool IsAt(string path, FileStream file)
        => FileIdentity.Of(path) is { } there && FileIdentity.Of($"/proc/self/fd/{file.SafeFileHandle.DangerousGetHandle()}") is { } open && there.IsSame(open);

    private static string Place()
        => $"{File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim()}-{new string([.. (new FileInfo("/proc/self/ns/net").LinkTarget ?? "").Where(char.IsAsciiDigit)])}";
}
