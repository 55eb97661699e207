using System.ComponentModel.DataAnnotations;
using System.Diagnostics;
using System.Runtime.Versioning;
using IommuFd.GrainInterfaces.Security;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Security;

/// <summary>The file that tells a silo's user from the other users of a machine.</summary>
[SupportedOSPlatform("linux")]
public sealed class SecretFileTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-secret-").FullName;

    private string FilePath => Path.Combine(_folder, "state", "iommufd", "secret");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_first_to_ask_makes_it_for_its_user_alone_and_the_next_reads_the_same()
    {
        var secret = SecretFile.ReadOrCreate(FilePath);

        Expect.Equal(SecretFile.Length, secret.Length, "the bytes of a new secret");
        Expect.Equal(OwnerOnly, File.GetUnixFileMode(FilePath), "the mode of the secret's file");
        Expect.Equal(OwnerOnly | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.GetDirectoryName(FilePath)!), "the mode of its folder");
        Expect.Sequence(secret, SecretFile.ReadOrCreate(FilePath), "the secret that the next silo reads");
        Expect.Sequence(secret, SecretFile.Read(FilePath), "the secret that a client reads");
    }

    [Fact]
    public void Silos_that_start_at_once_agree_on_one_secret_and_leave_one_file()
    {
        var secrets = new byte[16][];
        Parallel.For(0, secrets.Length, new ParallelOptions { MaxDegreeOfParallelism = secrets.Length }, i => secrets[i] = SecretFile.ReadOrCreate(FilePath));

        Expect.Equal(1, secrets.Select(Convert.ToHexString).Distinct().Count(), "different secrets of silos that start at once");
        Expect.Sequence([FilePath], Directory.GetFiles(Path.GetDirectoryName(FilePath)!), "the files that they leave");
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead, "640")]
    [InlineData(UnixFileMode.OtherRead, "604")]
    [InlineData(UnixFileMode.GroupWrite, "620")]
    public void A_file_that_other_users_could_read_or_write_is_refused(UnixFileMode others, string mode)
    {
        SecretFile.ReadOrCreate(FilePath);
        File.SetUnixFileMode(FilePath, OwnerOnly | others);

        Refuses($"can be read or written by other users (mode {mode})");
    }

    [Fact]
    public void A_file_of_another_user_is_refused()
    {
        // Root has no file of another user that all systems have, so it makes one; for all others a file of root's will do.
        var path = "/etc/passwd";
        if (Environment.IsPrivilegedProcess)
        {
            SecretFile.ReadOrCreate(path = FilePath);
            using var chown = Process.Start("chown", ["65534", path]);
            chown.WaitForExit();
        }

        Refuses("belongs to another user (uid ", path);
    }

    [Fact]
    public void A_file_that_is_too_short_is_refused()
    {
        SecretFile.ReadOrCreate(FilePath);
        File.WriteAllBytes(FilePath, new byte[SecretFile.Length - 1]);

        Refuses("has 31 bytes; it must have 32");
    }

    [Fact]
    public void A_symbolic_link_is_refused_wherever_it_leads()
    {
        var target = Path.Combine(_folder, "target");
        SecretFile.ReadOrCreate(target);
        Directory.CreateDirectory(Path.GetDirectoryName(FilePath)!);
        File.CreateSymbolicLink(FilePath, target);
        Refuses("is a symbolic link");

        File.Delete(target);
        Refuses("is a symbolic link");
        Expect.That(!File.Exists(target), "A secret was made where a symbolic link leads.");
    }

    [Fact]
    public void A_client_makes_no_file_and_is_told_who_does()
    {
        var problem = Assert.Throws<ValidationException>(() => SecretFile.Read(FilePath));

        Expect.That(problem.Message.Contains($"'{FilePath}', is not there. A silo makes it", StringComparison.Ordinal), problem.Message);
        Expect.That(!Directory.Exists(Path.GetDirectoryName(FilePath)), "A client made the folder of the secret.");
    }

    [Fact]
    public void What_is_named_comes_before_the_environment_and_the_environment_before_the_home()
    {
        var before = (Variable: Environment.GetEnvironmentVariable(SecretFile.PathVariable), State: Environment.GetEnvironmentVariable("XDG_STATE_HOME"));
        try
        {
            Environment.SetEnvironmentVariable(SecretFile.PathVariable, "/environment/secret");
            Expect.Equal("/named/secret", SecretFile.PathOf("/named/secret"), "the path where both name one");
            Expect.Equal("/environment/secret", SecretFile.PathOf(null), "the path that the environment names");

            Environment.SetEnvironmentVariable(SecretFile.PathVariable, null);
            Environment.SetEnvironmentVariable("XDG_STATE_HOME", "/state");
            Expect.Equal("/state/iommufd/secret", SecretFile.PathOf(null), "the path in the user's state");

            Environment.SetEnvironmentVariable("XDG_STATE_HOME", null);
            Expect.Equal(Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local/state/iommufd/secret"), SecretFile.PathOf(""), "the path in the user's home");
        }
        finally
        {
            Environment.SetEnvironmentVariable(SecretFile.PathVariable, before.Variable);
            Environment.SetEnvironmentVariable("XDG_STATE_HOME", before.State);
        }
    }

    private void Refuses(string problem, string? path = null)
    {
        path ??= FilePath;
        foreach (var read in (Func<string, byte[]>[])[SecretFile.Read, SecretFile.ReadOrCreate])
        {
            var refusal = Assert.Throws<ValidationException>(() => read(path));
            Expect.That(refusal.Message.StartsWith($"The silo's secret, '{path}', {problem}", StringComparison.Ordinal), $"Expected '{problem}', but the message is: {refusal.Message}");
        }
    }
}
