using System.ComponentModel.DataAnnotations;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.Configuration;

namespace IommuFd.JournalTests;

public sealed class JournalSettingsTests
{
    [Fact]
    public void Without_settings_contexts_are_volatile()
    {
        var settings = Read();

        Assert.Equal(JournalStoreKind.None, settings.Store);
        Assert.Equal(JournalSynchronous.Full, settings.Synchronous);
    }

    [Fact]
    public void Settings_are_read_as_they_are_written()
    {
        var settings = Read(
            ("Journal:Store", "sqlite"), ("Journal:Path", "/var/lib/iommufd/journal.db"), ("Journal:Synchronous", "normal"), ("Journal:Timeout", "00:00:05"),
            ("Journal:MaxBatch", "7"), ("Journal:MaxBatchBytes", "8"), ("Journal:MaxQueue", "9"));

        Assert.Equal(
            (JournalStoreKind.Sqlite, "/var/lib/iommufd/journal.db", JournalSynchronous.Normal, TimeSpan.FromSeconds(5)),
            (settings.Store, settings.Path, settings.Synchronous, settings.Timeout));
        Assert.Equal((7, 8, 9), (settings.MaxBatch, settings.MaxBatchBytes, settings.MaxQueue));
    }

    [Theory]
    [InlineData("Store", "oracle", "Journal:Store")]
    [InlineData("Store", "7", "Journal:Store must be none, sqlite or postgres")]
    [InlineData("Synchronous", "off", "Journal:Synchronous")]
    [InlineData("Synchronous", "9", "Journal:Synchronous must be full or normal")]
    [InlineData("Path", "", "Journal:Path is empty")]
    [InlineData("Path", "/tmp", "Journal:Path is '/tmp'; it must name a file")]
    [InlineData("Path", "/tmp/", "Journal:Path is '/tmp/'; it must name a file")]
    [InlineData("Timeout", "00:00:00", "Journal:Timeout must be")]
    [InlineData("Timeout", "1.00:00:00", "Journal:Timeout must be")]
    [InlineData("Timeout", "soon", "Journal:Timeout")]
    [InlineData("MaxBatch", "0", "Journal:MaxBatch must be")]
    [InlineData("MaxBatch", "many", "Journal:MaxBatch")]
    [InlineData("MaxBatchBytes", "-1", "Journal:MaxBatchBytes must be")]
    [InlineData("MaxQueue", "0", "Journal:MaxQueue must be")]
    public void A_setting_that_makes_no_sense_is_named(string name, string value, string expected)
    {
        (string, string?)[] store = name == "Store" ? [] : [("Journal:Store", "sqlite")];
        var exception = Assert.Throws<ValidationException>(() => Read([.. store, ($"Journal:{name}", value)]));

        Assert.Contains(expected, exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "Journal:ConnectionString must say how to connect")]
    [InlineData("   ", "Journal:ConnectionString must say how to connect")]
    [InlineData("no list at all", "Journal:ConnectionString can't be read")]
    [InlineData("Host=db;Password=se;cret=x", "Journal:ConnectionString can't be read")]
    [InlineData("Host=db;Port=secret", "Journal:ConnectionString can't be read")]
    [InlineData("Username=iommufd;Password=secret", "Journal:ConnectionString can't be read")]
    public void A_connection_string_that_makes_no_sense_is_named_and_not_shown(string? connectionString, string expected)
    {
        var exception = Assert.Throws<ValidationException>(() => Read(("Journal:Store", "postgres"), ("Journal:ConnectionString", connectionString)));

        Assert.Contains(expected, exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("cret", exception.ToString(), StringComparison.Ordinal);
    }

    private static JournalSettings Read(params (string Name, string? Value)[] values)
        => JournalSettings.Read(new ConfigurationBuilder().AddInMemoryCollection(values.Select(pair => KeyValuePair.Create(pair.Name, pair.Value))).Build());
}
